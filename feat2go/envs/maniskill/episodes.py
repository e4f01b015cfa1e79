"""Carrying out chunks of actions in the rows of one scene, and keeping the books of their episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.experts import expert_for
from feat2go.envs.maniskill.scene import Scene
from feat2go.envs.replay import replay
from feat2go.envs.workers.frames import Flags, Frames


class EpisodeRunner:
    """The episodes of one scene's rows.

    Args:
        scene: N rows.
        config: what the scene was built from.
        frames: N rows to write to. After each call they show the present state; pictures are taken at the end of a
            chunk and at the end of an episode only.
    """

    def __init__(self, scene: Scene, config: SimulationConfig, frames: Frames) -> None:
        self._scene = scene
        self._frames = frames
        self._gives_reward = config.dense_reward
        self._experts = [
            expert_for(config, scene.env, row) if config.control == "ee" else None for row in range(scene.num_rows)
        ]
        self._elapsed = np.zeros(scene.num_rows, np.int64)
        self._milestone = np.zeros(scene.num_rows, np.int64)
        self._is_running = np.zeros(scene.num_rows, bool)

    def reset(self, seeds: Sequence[int]) -> None:
        """Start a new episode in every row."""
        for row, seed in enumerate(seeds):
            self._begin(row, seed)
        self._look(self._is_running)

    def step(self, actions: np.ndarray, next_seeds: Sequence[int] | None, terminate_on_success: bool) -> Flags:
        """Carry out float32 (N, C, A), as ``VectorEnv.step`` says."""
        flags = Flags.empty(*actions.shape[:2])
        for position in range(actions.shape[1]):
            if self._is_running.any():
                self._step(actions[:, position], position, flags, terminate_on_success)
            flags.milestone[:, position] = self._milestone
        ended = flags.ended_rows
        if next_seeds is None:
            self._frames.images[ended] = self._frames.final_images[ended]
            self._frames.state[ended] = self._frames.final_state[ended]
        else:
            for row in ended:
                self._begin(row, next_seeds[row])
        self._look(self._is_running)
        return flags

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None:
        """Bring every row's episode to where its actions float32 (L, A) lead."""
        self._is_running[:] = False
        unheeded = Flags.empty(self._scene.num_rows, 1)
        for begun, now in replay(actions, self._scene.info.action_dim):
            for row in begun.tolist():
                self._begin(row, seeds[row])
            if now is not None:
                self._step(now, 0, unheeded, terminate_on_success=False)
        self._look(self._is_running)

    def expert_actions(self) -> np.ndarray:
        """float32 (N, A): the experts' next actions; zero for rows without a running episode."""
        actions = np.zeros((self._scene.num_rows, self._scene.info.action_dim), np.float32)
        for row in np.flatnonzero(self._is_running).tolist():
            expert = self._experts[row]
            if expert is not None:
                actions[row] = expert.action(int(self._elapsed[row]))
        return actions

    def _begin(self, row: int, seed: int) -> None:
        self._scene.reset(row, int(seed))
        self._elapsed[row] = 0
        self._milestone[row] = 0
        self._is_running[row] = True
        expert = self._experts[row]
        if expert is not None:
            expert.reset(int(seed))

    def _step(self, actions: np.ndarray, position: int, flags: Flags, terminate_on_success: bool) -> None:
        running = self._is_running.copy()
        scene = self._scene
        scene.step(np.where(running[:, None], actions, np.float32(0)))
        self._elapsed[running] += 1
        self._milestone[running] = np.maximum(self._milestone, scene.milestone)[running]
        terminated = running & (scene.failed | (scene.success & terminate_on_success))
        truncated = running & ~terminated & (self._elapsed >= scene.info.max_episode_steps)
        flags.valid[:, position] = running
        flags.success[:, position] = running & scene.success
        if self._gives_reward:
            flags.reward[running, position] = scene.reward[running]
        flags.terminated[:, position] = terminated
        flags.truncated[:, position] = truncated
        ended = terminated | truncated
        if ended.any():
            self._frames.final_images[ended] = scene.images()[ended]
            self._frames.final_state[ended] = scene.states()[ended]
        self._is_running &= ~ended

    def _look(self, rows: np.ndarray) -> None:
        if rows.any():
            self._frames.images[rows] = self._scene.images()[rows]
            self._frames.state[rows] = self._scene.states()[rows]
