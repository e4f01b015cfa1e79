"""Worker processes that die."""

import logging
import os
import signal

import pytest
import torch

from feat2go.envs.maniskill import ManiSkill
from feat2go.envs.workers import pool

SEEDS = [11, 12, 13]
NEXT_SEEDS = [21, 22, 23]

pytestmark = pytest.mark.vulkan


@pytest.fixture(scope="module")
def env():
    env = ManiSkill("PushCube-v1", num_envs=3, num_workers=2, image_size=16, max_episode_steps=30)
    yield env
    env.close()


def still(env, num_actions=1):
    return torch.zeros(env.num_envs, num_actions, env.action_dim)


def kill(env, worker):
    os.kill(env._simulation.workers[worker].pid, signal.SIGKILL)


def same(a, b):
    return torch.equal(a.images["base"], b.images["base"]) and torch.equal(a.state, b.state)


def test_a_killed_worker_is_replaced_and_its_episodes_start_again_loudly(env, caplog):
    first = env.reset(SEEDS)
    for _ in range(5):
        env.step(env.expert_actions()[:, None])
    kill(env, 1)
    assert (env.expert_actions()[1:] == 0).all()
    with caplog.at_level(logging.WARNING):
        step = env.step(still(env, 2), NEXT_SEEDS)
    assert step.valid.tolist() == [[True, True], [False, False], [False, False]]
    assert not (step.terminated | step.truncated | step.success).any()
    assert len(step.final_index) == 0
    lost = torch.tensor([1, 2])
    assert same(step.observation.select(lost), first.select(lost))
    assert "exit code -9" in caplog.text
    assert "seeds [12, 13]" in caplog.text

    # The episodes are those of the same seeds, from their beginning.
    after = env.step(env.expert_actions()[:, None])
    assert after.valid.all()
    env.reset(SEEDS)
    assert same(env.step(env.expert_actions()[:, None]).observation.select(lost), after.observation.select(lost))


def test_an_ended_episode_stays_ended_when_its_worker_dies(env):
    env.reset(SEEDS)
    ended = env.step(still(env, env.max_episode_steps))
    assert ended.truncated.any(dim=1).all()
    kill(env, 0)
    idle = env.step(still(env))
    assert not idle.valid.any()
    assert same(idle.observation, ended.observation)


def test_a_worker_that_keeps_dying_is_given_up(env, monkeypatch):
    monkeypatch.setattr(pool, "_MAX_RESTARTS_IN_A_ROW", 0)
    env.reset(SEEDS)
    kill(env, 0)
    with pytest.raises(RuntimeError, match=r"times in a row, with seeds \[11\]"):
        env.step(still(env))
