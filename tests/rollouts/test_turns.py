"""Environments that take turns give the rollouts of a single one."""

import itertools
import threading
from dataclasses import fields

import pytest
import torch

from feat2go.core import Observation, PolicyOutput, Rollout
from feat2go.core.seeding import generator
from feat2go.envs.tabletop.env import Tabletop
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.turns import EnvsInTurn

NUM_STEPS = 3
PATIENCE_S = 60.0


def tabletop(num_envs, num_workers=0):
    return Tabletop(num_envs, image_size=32, num_distractors=0, max_episode_steps=4, num_workers=num_workers)


class RandomPolicy:
    """What it does in one row does not depend on how many it is asked for at a time."""

    action_dim, chunk, config = 7, 2, {}

    def preprocess(self, images, instructions, state=None):
        return {"state": state}

    def act(self, *, temperature=1.0, generator=None, state):
        tokens = torch.zeros(len(state), 14, dtype=torch.int64)
        if temperature:
            tokens = torch.randint(0, 9, tokens.shape, generator=generator)
        actions = tokens.view(-1, 2, 7) / 4 - 1
        return PolicyOutput(actions, tokens, -tokens.float(), state[:, 0])


def collect(collector, iteration=0, policy=None):
    with torch.no_grad():
        return collector.collect(policy or RandomPolicy(), 1.0, generator(iteration))


def assert_same(rollout, expected):
    for field in fields(Rollout):
        one, other = getattr(rollout, field.name), getattr(expected, field.name)
        if isinstance(one, Observation):
            assert torch.equal(one.images["front"], other.images["front"])
            assert torch.equal(one.state, other.state)
            assert one.instruction == other.instruction
        else:
            assert (one is None and other is None) or torch.equal(one, other), field.name


@pytest.fixture(params=[0, 1], ids=["in this process", "in workers"])
def in_turn(request):
    env = EnvsInTurn([tabletop(2, request.param), tabletop(1, request.param)])
    yield env
    env.close()


def test_the_rollouts_are_those_of_one_environment_of_as_many_rows(in_turn):
    whole, parts = (Collector(env, NUM_STEPS, itertools.count()) for env in (tabletop(3), in_turn))
    for iteration in range(3):
        expected = collect(whole, iteration)
        assert len(expected.final_index)
        assert_same(collect(parts, iteration), expected)
    assert (parts.num_seeds, parts.num_env_steps) == (whole.num_seeds, whole.num_env_steps)


def test_what_was_collected_in_turns_goes_on_in_one_environment_and_back(in_turn):
    parts = Collector(in_turn, NUM_STEPS, itertools.count())
    collect(parts, 0)
    state = parts.state_dict()
    whole = Collector(tabletop(3), NUM_STEPS, itertools.count(state["num_seeds"]))
    again = Collector(EnvsInTurn([tabletop(1), tabletop(2)]), NUM_STEPS, itertools.count(state["num_seeds"]))
    for restored in (whole, again):
        restored.load_state_dict(state)
    expected = collect(parts, 1)
    assert_same(collect(whole, 1), expected)
    assert_same(collect(again, 1), expected)
    again.env.close()


class Waiting:
    """Its steps do not end before the policy has acted in another environment."""

    env_id, action_dim = "waiting", 7

    def __init__(self, acted_elsewhere):
        self.env, self.num_envs = tabletop(1), 1
        self.acted_elsewhere = acted_elsewhere

    def reset(self, seeds):
        return self.env.reset(seeds)

    def step(self, actions, next_seeds):
        assert self.acted_elsewhere.wait(PATIENCE_S), "the policy waits for the step"
        return self.env.step(actions, next_seeds)

    def close(self):
        self.env.close()


def test_the_policy_acts_in_one_environment_while_the_other_steps():
    has_acted = [threading.Event(), threading.Event()]
    env = EnvsInTurn([Waiting(has_acted[1]), Waiting(has_acted[0])])

    class Announcing(RandomPolicy):
        calls = 0

        def act(self, **inputs):
            output = super().act(**inputs)
            if self.calls < 2:
                has_acted[self.calls].set()
            self.calls += 1
            return output

    rollout = collect(Collector(env, 2, itertools.count()), policy=Announcing())
    env.close()
    assert rollout.valid.shape == (2, 2, 2)


@pytest.mark.parametrize(("num_threads", "expected"), [(3, 2), (1, 1)])
def test_the_policy_leaves_a_core_to_the_environment_that_steps(num_threads, expected):
    class Counting(RandomPolicy):
        num_threads = ()

        def act(self, **inputs):
            self.num_threads += (torch.get_num_threads(),)
            return super().act(**inputs)

    before, policy, env = torch.get_num_threads(), Counting(), EnvsInTurn([tabletop(1), tabletop(1)])
    torch.set_num_threads(num_threads)
    try:
        collect(Collector(env, 2, itertools.count()), policy=policy)
        # What follows the last step is judged when nothing steps any more.
        assert policy.num_threads == (*[expected] * 4, num_threads)
        assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)


def test_an_error_of_an_environment_reaches_the_caller():
    class Broken(Waiting):
        def step(self, actions, next_seeds):
            raise RuntimeError("no more memory")

    env = EnvsInTurn([tabletop(1), Broken(None)])
    with pytest.raises(RuntimeError, match="no more memory"):
        collect(Collector(env, 2, itertools.count()))
    env.close()
