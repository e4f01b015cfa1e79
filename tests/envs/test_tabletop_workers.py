"""The tabletop in worker processes. That it keeps the contract is in tests/contract."""

import logging
import os
import signal

import numpy as np
import pytest
import torch

from feat2go.envs.tabletop import Tabletop
from feat2go.envs.workers import pool

SEEDS = [11, 12, 13]
NEXT_SEEDS = [21, 22, 23]
SMALL = {"image_size": 32, "max_episode_steps": 4}


@pytest.fixture(scope="module")
def env():
    env = Tabletop(num_envs=3, num_workers=2, **SMALL)
    yield env
    env.close()


def random_actions(num_actions, seed=0):
    return 2 * torch.rand(3, num_actions, 7, generator=torch.Generator().manual_seed(seed)) - 1


def kill(env, worker):
    os.kill(env._simulation.workers[worker].pid, signal.SIGKILL)


def assert_same(a, b):
    assert torch.equal(a.images["front"], b.images["front"])
    assert torch.equal(a.state, b.state)
    assert a.instruction == b.instruction


def test_steps_are_those_of_one_process_also_where_episodes_end(env):
    alone = Tabletop(num_envs=3, **SMALL)
    assert_same(env.reset(SEEDS), alone.reset(SEEDS))
    for time, next_seeds in enumerate([NEXT_SEEDS, NEXT_SEEDS, SEEDS, None, None]):
        one, other = (e.step(random_actions(2, time), next_seeds) for e in (env, alone))
        assert_same(one.observation, other.observation)
        assert_same(one.final_observation, other.final_observation)
        for name in ("terminated", "truncated", "success", "valid", "milestone", "final_index"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_step_may_go_on_while_the_caller_does_something_else(env):
    env.reset(SEEDS)
    expected = env.step(random_actions(1)).observation
    env.reset(SEEDS)
    end_step = env.begin_step(random_actions(1))
    assert_same(end_step().observation, expected)


def test_a_killed_worker_is_replaced_and_its_episodes_start_again_loudly(env, caplog):
    first = env.reset(SEEDS)
    env.step(random_actions(1))
    kill(env, 1)
    assert (env.expert_actions()[1:] == 0).all()
    with caplog.at_level(logging.WARNING):
        step = env.step(random_actions(2), NEXT_SEEDS)
    assert step.valid.tolist() == [[True, True], [False, False], [False, False]]
    assert len(step.final_index) == 0
    lost = torch.tensor([1, 2])
    assert_same(step.observation.select(lost), first.select(lost))
    assert "tabletop worker process" in caplog.text
    assert "exit code -9" in caplog.text
    assert "seeds [12, 13]" in caplog.text
    assert env.step(random_actions(1)).valid.all()


def test_an_ended_episode_stays_ended_when_its_worker_dies(env):
    env.reset(SEEDS)
    ended = env.step(random_actions(4))
    kill(env, 0)
    idle = env.step(random_actions(1))
    assert not idle.valid.any()
    assert_same(idle.observation, ended.observation)


def test_a_worker_that_dies_while_episodes_are_brought_back_is_an_error(env):
    env.reset(SEEDS)
    kill(env, 0)
    with pytest.raises(RuntimeError, match="brought back the episodes"):
        env.restore(SEEDS, [torch.zeros(1, 7)] * 3)
    env.step(random_actions(1))


def test_a_worker_that_keeps_dying_is_given_up(env, monkeypatch):
    monkeypatch.setattr(pool, "_MAX_RESTARTS_IN_A_ROW", 0)
    env.reset(SEEDS)
    kill(env, 0)
    with pytest.raises(RuntimeError, match=r"times in a row, with seeds \[11\]; is there enough memory"):
        env.step(random_actions(1))


def test_an_error_in_a_worker_says_where_it_comes_from():
    env = Tabletop(num_envs=1, num_workers=1, **SMALL)
    env.reset([0])
    with pytest.raises(RuntimeError, match="a tabletop worker process failed:\n(.|\n)*UFunc"):
        env._simulation.step(np.full((1, 1, 7), "left"), None, True)
    env.close()


def test_processes_end_with_the_environment():
    env = Tabletop(num_envs=2, num_workers=2, **SMALL)
    pids = [worker.pid for worker in env._simulation.workers]
    env.close()
    env.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("num_workers", [-1, 3])
def test_no_more_workers_than_tables(num_workers):
    with pytest.raises(ValueError, match="num_workers must be between 0 and 2"):
        Tabletop(num_envs=2, num_workers=num_workers)
