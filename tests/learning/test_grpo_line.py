"""GRPO learns to walk to a goal on a line, from nothing, and does not with the sign of the advantage flipped."""

from dataclasses import replace

import pytest
import torch

from feat2go.algorithms import GRPO, Reinforce
from feat2go.core import Observation, PolicyEvaluation, PolicyOutput, Step
from feat2go.core.seeding import generator, rollout_seeds
from feat2go.rewards import Sparse
from feat2go.rollouts.group_collector import GroupCollector
from feat2go.rollouts.relabel import relabel, terminal_values

LIMIT = 6


class Line:
    """N walkers and their goals, two to four steps to the left or to the right, by the seed. The state is the way."""

    num_envs = 64

    def reset(self, seeds):
        way = torch.tensor([(-1) ** (seed % 2) * (2 + seed // 2 % 3) for seed in seeds])
        self.way, self.elapsed, self.is_running = way.float(), 0, torch.ones(len(way), dtype=torch.bool)
        return self._observe()

    def step(self, actions, next_seeds=None):
        was_running = self.is_running.clone()
        self.elapsed += 1
        self.way = self.way - actions[:, 0, 0].sign() * was_running
        success = was_running & (self.way == 0)
        truncated = was_running & ~success & (self.elapsed == LIMIT)
        self.is_running = was_running & ~success & ~truncated
        final_index = (success | truncated).nonzero()[:, 0]
        flags = (flag[:, None] for flag in (success, truncated, success, was_running))
        milestone = torch.zeros(self.num_envs, 1, dtype=torch.int64)
        return Step(self._observe(), *flags, milestone, final_index, self._observe().select(final_index))

    def _observe(self):
        images = torch.zeros(self.num_envs, 1, 1, 3, dtype=torch.uint8)
        return Observation({"none": images}, self.way[:, None].clone(), ["walk"] * self.num_envs)


class Walker(torch.nn.Module):
    """Left, nowhere or right; at first all the same to it."""

    chunk, action_dim, config = 1, 1, {}

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 3)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def preprocess(self, images, instructions, state=None):
        return {"state": state}

    def act(self, *, temperature=1.0, generator=None, state):
        logprobs = self.linear(state).log_softmax(-1)
        tokens = torch.multinomial(logprobs.exp(), 1, generator=generator)
        return PolicyOutput((tokens - 1).float()[:, None], tokens, logprobs.gather(1, tokens), torch.zeros(len(state)))

    def evaluate(self, tokens, *, temperature=1.0, state):
        logprobs = self.linear(state).log_softmax(-1)
        entropy = -(logprobs.exp() * logprobs).sum(-1, keepdim=True)
        return PolicyEvaluation(logprobs.gather(1, tokens), entropy, torch.zeros(len(state)))


def before_and_after(algorithm, sign, num_iterations=30):
    """Success of the first and of the last five rollouts."""
    torch.manual_seed(0)
    policy, success, noise = Walker(), [], generator("line")
    optimizer = torch.optim.Adam(policy.parameters(), 0.03)
    collector = GroupCollector(Line(), num_episodes=64, group_size=8, seeds=rollout_seeds(0, 0, 1))
    for _ in range(num_iterations):
        with torch.no_grad():
            rollout = collector.collect(policy, algorithm.temperature, noise)
        rollout = relabel(rollout, Sparse(), terminal_values(rollout, None))
        success.append(rollout.final_success.float().mean().item())
        batch = algorithm.prepare(rollout)
        batch = replace(batch, advantage=sign * batch.advantage)
        for rows in torch.randperm(len(batch)).tensor_split(4):
            optimizer.zero_grad()
            algorithm.loss(policy, batch.select(rows))[0].backward()
            optimizer.step()
    return sum(success[:5]) / 5, sum(success[-5:]) / 5


@pytest.mark.parametrize("algorithm", [GRPO(), GRPO(gamma=0.9, logprob_level="chunk"), Reinforce()])
def test_it_learns(algorithm):
    before, after = before_and_after(algorithm, sign=1.0)
    assert before < 0.5
    assert after > 0.8


@pytest.mark.parametrize("algorithm", [GRPO(), Reinforce()])
def test_with_the_wrong_sign_it_unlearns(algorithm):
    before, after = before_and_after(algorithm, sign=-1.0)
    assert after < min(before, 0.05)
