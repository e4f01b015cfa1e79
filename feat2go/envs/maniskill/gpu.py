"""ManiSkill's own GPU simulation: all environments in one process and one scene. Not measured: no GPU was at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from feat2go.envs.maniskill import light
from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.episodes import EpisodeRunner
from feat2go.envs.maniskill.scene import Scene
from feat2go.envs.workers.frames import Flags, Frames


class GpuSimulation:
    """N environments in GPU simulation, with the methods of ``WorkerPool``.

    ManiSkill seeds a batch by its first seed only. So that an episode depends on its own seed, environments are reset
    one at a time. It draws other random numbers than a CPU does: a seed means another episode here than in a worker
    process.

    Attributes:
        info: sizes of the simulations.
        frames: what the environments show, in main memory.
    """

    def __init__(self, config: SimulationConfig, num_envs: int) -> None:
        if config.light_assets:
            light.install()
        self._scene = Scene(config, num_envs, device=f"cuda:{torch.cuda.current_device()}")
        self.info = self._scene.info
        self.frames = Frames.zeros(num_envs, len(self.info.cameras), config.image_size, self.info.state_dim)
        self._runner = EpisodeRunner(self._scene, config, self.frames)

    def reset(self, seeds: Sequence[int]) -> None:
        self._runner.reset(seeds)

    def step(self, actions: np.ndarray, next_seeds: Sequence[int] | None, terminate_on_success: bool) -> Flags:
        return self._runner.step(actions, next_seeds, terminate_on_success)

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None:
        self._runner.restore(seeds, actions)

    def expert_actions(self) -> np.ndarray:
        return self._runner.expert_actions()

    def close(self) -> None:
        self._scene.close()
