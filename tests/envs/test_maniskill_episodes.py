"""The books of episodes over several rows of one scene, as in GPU simulation, which tests can't run."""

import numpy as np
import pytest

from feat2go.envs.maniskill.config import SimulationConfig, SimulationInfo
from feat2go.envs.maniskill.episodes import EpisodeRunner
from feat2go.envs.workers.frames import Frames

NUM_ROWS = 3
LIMIT = 4
CONFIG = SimulationConfig("Counting-v1", 2, "ee", None, None, False, None, 0.0, 1.0, 0)


class CountingScene:
    """Each row counts up from its seed by what it is told. It shows its number, succeeds at 10 and fails at 20."""

    num_rows = NUM_ROWS
    info = SimulationInfo(action_dim=1, state_dim=1, fps=1.0, max_episode_steps=LIMIT)
    env = None

    def __init__(self):
        self.number = np.zeros(NUM_ROWS)

    def reset(self, row, seed):
        self.number[row] = seed

    def step(self, actions):
        self.number += actions[:, 0]
        self.success = self.number == 10
        self.failed = self.number == 20
        self.milestone = self.number.astype(np.int64)

    def images(self):
        return np.broadcast_to(self.number[:, None, None, None], (NUM_ROWS, 2, 2, 3)).astype(np.uint8)

    def states(self):
        return self.number[:, None].astype(np.float32)


@pytest.fixture
def frames():
    images, final_images = np.zeros((2, NUM_ROWS, 2, 2, 3), np.uint8)
    state, final_state = np.zeros((2, NUM_ROWS, 1), np.float32)
    return Frames(images, state, final_images, final_state)


@pytest.fixture
def runner(frames):
    return EpisodeRunner(CountingScene(), CONFIG, frames)


def ones(num_actions):
    return np.ones((NUM_ROWS, num_actions, 1), np.float32)


def test_rows_end_each_at_its_own_time_and_start_again_at_the_end_of_the_chunk(runner, frames):
    runner.reset([9, 18, 0])
    flags = runner.step(ones(3), [100, 110, 120], terminate_on_success=True)
    assert flags.terminated.tolist() == [[True, False, False], [False, True, False], [False] * 3]
    assert flags.valid.tolist() == [[True, False, False], [True, True, False], [True] * 3]
    assert flags.success.tolist() == [[True, False, False], [False] * 3, [False] * 3]
    assert flags.ended_rows == [0, 1]
    assert not flags.truncated.any()
    assert frames.final_state[:2, 0].tolist() == [10, 20]
    assert frames.final_images[:2, 0, 0, 0].tolist() == [10, 20]
    assert frames.state[:, 0].tolist() == [100, 110, 3]
    assert frames.images[:, 0, 0, 0].tolist() == [100, 110, 3]


def test_without_next_seeds_a_row_shows_its_end_while_the_others_go_on(runner, frames):
    runner.reset([9, 0, 0])
    runner.step(ones(1), None, terminate_on_success=True)
    flags = runner.step(ones(2), None, terminate_on_success=True)
    assert flags.valid.tolist() == [[False, False], [True, True], [True, True]]
    assert flags.ended_rows == []
    assert flags.milestone.tolist() == [[10, 10], [2, 3], [2, 3]]
    assert frames.state[:, 0].tolist() == [10, 3, 3]


def test_the_limit_truncates_unless_success_comes_with_it(runner):
    runner.reset([6, 0, 1])
    flags = runner.step(ones(LIMIT), None, terminate_on_success=True)
    assert flags.terminated[:, -1].tolist() == [True, False, False]
    assert flags.truncated[:, -1].tolist() == [False, True, True]


def test_milestones_never_go_back(runner):
    runner.reset([0, 0, 0])
    actions = np.tile(np.array([[3], [-2], [1]], np.float32), (NUM_ROWS, 1, 1))
    flags = runner.step(actions, None, terminate_on_success=True)
    assert flags.milestone.tolist() == [[3, 3, 3]] * NUM_ROWS


def test_success_ends_nothing_if_told_so_but_failure_does(runner):
    runner.reset([9, 18, 0])
    flags = runner.step(ones(3), None, terminate_on_success=False)
    assert flags.ended_rows == [1]
    assert flags.success[0].tolist() == [True, False, False]
