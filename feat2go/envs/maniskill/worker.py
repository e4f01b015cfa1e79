"""A worker process: several single-row simulations, stepped in turn.

``workers.process`` starts it as ``python -m feat2go.envs.maniskill.worker CONNECTION MEMORY``, with two file
descriptors. It ends when the other end of the connection does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mani_skill
import numpy as np

from feat2go.envs.maniskill import light
from feat2go.envs.maniskill.config import Assignment, SimulationInfo
from feat2go.envs.maniskill.episodes import EpisodeRunner
from feat2go.envs.maniskill.pool import PROGRAM
from feat2go.envs.maniskill.requirements import RequirementError
from feat2go.envs.maniskill.scene import Scene
from feat2go.envs.workers.frames import Flags, Frames
from feat2go.envs.workers.serve import serve
from feat2go.registry.registry import UnknownNameError


class Worker:
    """The commands that the process answers, each for its own rows."""

    def __init__(self, assignment: Assignment, memory: int) -> None:
        # Every worker would repeat ManiSkill's advice to authors of tasks.
        mani_skill.logger.setLevel(logging.ERROR)
        config = assignment.config
        if config.light_assets:
            light.install()
        scenes = [Scene(config) for _ in range(assignment.num_rows)]
        self.info: SimulationInfo = scenes[0].info
        num_cameras, state_dim = len(self.info.cameras), self.info.state_dim
        frames = Frames.mapped(memory, assignment.num_envs, num_cameras, config.image_size, state_dim)
        first = assignment.first_row
        self._runners = [
            EpisodeRunner(scene, config, frames.rows(slice(first + i, first + i + 1))) for i, scene in enumerate(scenes)
        ]

    def reset(self, seeds: Sequence[int | None]) -> None:
        """Start an episode in every row that has a seed."""
        for runner, seed in zip(self._runners, seeds, strict=True):
            if seed is not None:
                runner.reset([seed])

    def step(self, actions: np.ndarray, next_seeds: Sequence[int] | None, terminate_on_success: bool) -> Flags:
        parts = [
            runner.step(actions[i : i + 1], None if next_seeds is None else [next_seeds[i]], terminate_on_success)
            for i, runner in enumerate(self._runners)
        ]
        return Flags.concat(parts)

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None:
        for runner, seed, carried_out in zip(self._runners, seeds, actions, strict=True):
            runner.restore([seed], [carried_out])

    def expert_actions(self) -> np.ndarray:
        return np.concatenate([runner.expert_actions() for runner in self._runners])


if __name__ == "__main__":
    serve(Worker, PROGRAM.name, (RequirementError, UnknownNameError, ValueError, NotImplementedError))
