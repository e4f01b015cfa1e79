"""PPO learns on the tabletop; with the sign of the advantage flipped or the terminal values shuffled, it does not."""

import pytest
import torch

from feat2go.algorithms import PPO
from feat2go.core.seeding import rollout_seeds
from feat2go.rollouts.collector import Collector


class MilestoneTabletop:
    """A tabletop that remembers how far the episodes of the rollout under way came."""

    def __init__(self, env):
        self._env = env
        self.reached = []

    def __getattr__(self, name):
        return getattr(self._env, name)

    def step(self, actions, next_seeds=None):
        step = self._env.step(actions, next_seeds)
        self.reached.append(step.milestone[step.final_index, 0] / len(self._env.milestones))
        return step

    def terminal_values(self, rollout):
        """float32 (E,), in the rollout's order of episodes."""
        values, self.reached = torch.cat(self.reached), []
        assert len(values) == len(rollout.final_success)
        return values


@pytest.fixture
def tabletop(easy_tabletop):
    return MilestoneTabletop(easy_tabletop)


@pytest.fixture
def learn(train, start, tabletop):
    """A function that trains ``start`` and gives the success of the first and of the last five rollouts."""

    def run(num_iterations, **options):
        collector = Collector(tabletop, tabletop.max_episode_steps, rollout_seeds(0, 0, 1))
        success = train(start, PPO(logprob_level="token"), collector, num_iterations=num_iterations, **options)
        return sum(success[:5]) / 5, sum(success[-5:]) / 5

    return run


def test_ppo_takes_a_weak_start_to_four_fifths(learn, start, success_rate):
    before, after = learn(num_iterations=65)
    assert before < 0.55
    assert after > before + 0.2
    # Sampled as the published evaluations are.
    assert success_rate(start, temperature=0.6) >= 0.8


def test_the_wrong_sign_unlearns(learn):
    before, after = learn(num_iterations=12, sign=-1.0)
    assert after < before - 0.1


def test_terminal_values_of_other_episodes_unlearn(learn, tabletop):
    """Where the terminal value is all the reward, it must be the episode's own."""

    def shuffled(rollout):
        values = tabletop.terminal_values(rollout)
        return values[torch.randperm(len(values))]

    before, after = learn(num_iterations=20, reward=shuffled)
    assert after < before
