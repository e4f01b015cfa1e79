"""Rollouts that go on in another process, to the bit."""

import itertools

import pytest
import torch

from feat2go.core.seeding import generator
from feat2go.envs.tabletop.env import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rollouts.acting import acting
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.running import RunningEpisodes

NUM_STEPS = 3


def collector(first_seed=0):
    env = Tabletop(num_envs=3, image_size=32, num_distractors=0, max_episode_steps=8)
    return Collector(env, NUM_STEPS, itertools.count(first_seed))


@pytest.fixture
def policy():
    torch.manual_seed(0)
    return TinyVLA(chunk=2, image_size=32, width=16)


def collect(source, policy, iteration):
    with acting(policy):
        return source.collect(policy, 1.0, generator(iteration))


@pytest.mark.parametrize("num_rollouts", [0, 1, 3])
def test_a_restored_collector_goes_on_to_the_bit(policy, num_rollouts):
    """After no rollout, in the middle of all episodes, and where some have ended and a restored one goes on."""
    whole, restored = collector(), collector()
    for iteration in range(num_rollouts):
        collect(whole, policy, iteration)
    state = whole.state_dict()
    restored = collector(first_seed=state["num_seeds"])
    restored.load_state_dict(state)
    for iteration in range(num_rollouts, num_rollouts + 3):
        expected, rollout = collect(whole, policy, iteration), collect(restored, policy, iteration)
        assert torch.equal(rollout.tokens, expected.tokens)
        assert torch.equal(rollout.logprob, expected.logprob)
        assert torch.equal(rollout.observation.images["front"], expected.observation.images["front"])
        assert torch.equal(rollout.final_index, expected.final_index)
        assert rollout.observation.instruction == expected.observation.instruction
    assert restored.num_env_steps == whole.num_env_steps
    assert restored.num_seeds == whole.num_seeds


def test_a_lost_episode_begins_again_with_its_own_seed():
    running = RunningEpisodes([5, 6], [torch.zeros(0, 1)] * 2)
    chunks = torch.arange(12.0).view(3, 2, 2, 1)
    running.advance(chunks[0], [], [])
    running.advance(chunks[1], [1], [6])
    running.advance(chunks[2], [], [])
    first, second = running.actions()
    assert first.flatten().tolist() == [0, 1, 4, 5, 8, 9]
    assert second.flatten().tolist() == [10, 11]
    running.advance(chunks[0], [0], [7])
    first, second = running.actions()
    assert len(first) == 0
    assert second.flatten().tolist() == [10, 11, 2, 3]
    assert running.seeds == [7, 6]
