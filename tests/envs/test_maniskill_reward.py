"""The simulator's own reward, which an environment gives if it is asked to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from feat2go.core.seeding import episode_seed
from feat2go.envs.maniskill.config import SimulationConfig, SimulationInfo
from feat2go.envs.maniskill.episodes import EpisodeRunner
from feat2go.envs.workers.frames import Frames


class Paying:
    """Pays each row its number of the step, and succeeds at 2 in the first row."""

    num_rows, env = 2, None
    info = SimulationInfo(action_dim=1, state_dim=1, fps=1.0, max_episode_steps=3)

    def reset(self, row, seed):
        self.time = 0

    def step(self, actions):
        self.time += 1
        self.reward = np.array([self.time, 10 * self.time], np.float32)
        self.success = np.array([self.time == 2, False])
        self.failed, self.milestone = np.zeros(2, bool), np.zeros(2, np.int64)

    def images(self):
        return np.zeros((2, 2, 2, 3), np.uint8)

    def states(self):
        return np.zeros((2, 1), np.float32)


@pytest.mark.parametrize("dense_reward", [True, False])
def test_what_was_not_carried_out_is_not_paid(dense_reward):
    config = SimulationConfig("Paying-v1", 2, "joint", None, None, False, None, 0.0, 1.0, 0)
    images, state = np.zeros((2, 2, 2, 3), np.uint8), np.zeros((2, 1), np.float32)
    frames = Frames(images, state, images.copy(), state.copy())
    runner = EpisodeRunner(Paying(), replace(config, dense_reward=dense_reward), frames)
    runner.reset([0, 0])
    flags = runner.step(np.zeros((2, 4, 1), np.float32), None, terminate_on_success=True)
    expected = np.array([[1, 2, 0, 0], [10, 20, 30, 0]], np.float32)
    np.testing.assert_array_equal(flags.reward, expected * dense_reward)


@pytest.mark.vulkan
def test_the_expert_earns_more_than_standing_still():
    from feat2go.envs.maniskill import ManiSkill

    env = ManiSkill("PushCube-v1", num_envs=1, num_workers=1, image_size=16, max_episode_steps=20, dense_reward=True)
    try:
        earned = []
        for expert in (True, False):
            env.reset([episode_seed("development", 0)])
            rewards = []
            for _ in range(8):
                actions = env.expert_actions() if expert else torch.zeros(1, env.action_dim)
                step = env.step(actions[:, None])
                assert step.reward.dtype == torch.float32
                assert step.reward.shape == (1, 1)
                rewards.append(step.reward.item())
            assert all(0 <= reward <= 1 for reward in rewards)
            earned.append(sum(rewards))
    finally:
        env.close()
    assert earned[0] > earned[1] + 0.1
