"""A worker process: several single-row simulations, stepped in turn.

``pool`` starts it as ``python -m feat2go.envs.maniskill.worker CONNECTION MEMORY``, with two file descriptors. It ends
when the other end of the connection does.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection

import mani_skill
import numpy as np
import torch

from feat2go.envs.maniskill import light, shared
from feat2go.envs.maniskill.config import Assignment, SimulationInfo
from feat2go.envs.maniskill.episodes import EpisodeRunner, Flags
from feat2go.envs.maniskill.requirements import RequirementError
from feat2go.envs.maniskill.scene import Scene
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
        frames = shared.map_frames(memory, assignment.num_envs, config.image_size, self.info)
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


def main() -> None:
    """Build the simulations, say what they are like, then answer commands."""
    connection, memory = Connection(int(sys.argv[1])), int(sys.argv[2])
    torch.set_num_threads(1)
    try:
        worker = Worker(connection.recv(), memory)
        connection.send(worker.info)
        while True:
            command, arguments = connection.recv()
            connection.send(getattr(worker, command)(*arguments))
    except (EOFError, ConnectionError):
        # The main process is gone, in the middle of an answer perhaps.
        return
    except (RequirementError, UnknownNameError, ValueError, NotImplementedError) as error:
        connection.send(error)
    except Exception:
        connection.send(RuntimeError(f"a ManiSkill worker process failed:\n{traceback.format_exc()}"))


if __name__ == "__main__":
    main()
    # Nothing is left to save, and taking a renderer apart takes seconds.
    os._exit(0)
