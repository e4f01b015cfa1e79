"""Pictures and milestones of episodes that were recorded without, from their states and actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from feat2go.envs.maniskill import light
from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.requirements import require_installed
from feat2go.envs.maniskill.scene import Scene
from feat2go.envs.maniskill.tasks import task_named

# Kind ("actors", "articulations") -> name -> (T, state).
States = Mapping[str, Mapping[str, np.ndarray]]


class Replayer:
    """Plays recorded episodes of one task again, on the CPU.

    Each action is carried out, so that contacts are as they were, and then the recorded state is set, so that nothing
    drifts.

    Args:
        task: a ManiSkill task id.
        control_mode: ManiSkill's name of what the actions mean.
        image_size: side of the pictures in pixels.

    Raises:
        UnknownNameError: for an unknown task.
        RequirementError: if ManiSkill, Vulkan or an asset is missing, with the command that mends it.
    """

    def __init__(self, task: str, control_mode: str, image_size: int = 224) -> None:
        require_installed()
        is_light = not torch.cuda.is_available()
        if is_light:
            light.install()
        camera = task_named(task).camera
        config = SimulationConfig(
            task=task,
            image_size=image_size,
            control=control_mode,
            view=(camera.position, camera.target) if camera else None,
            fov=camera.fov if camera else None,
            light_assets=is_light,
            # Recordings of planners are longer than the task's limit.
            max_episode_steps=1_000_000,
            expert_noise=0.0,
            expert_tempo=1.0,
            expert_detours=0,
        )
        self._scene = Scene(config)

    def play(self, seed: int, actions: np.ndarray, states: States) -> tuple[np.ndarray, np.ndarray]:
        """One episode.

        Args:
            seed: that it was reset with.
            actions: (T-1, A), as recorded.
            states: of T steps.

        Returns:
            Frames uint8 (T, H, W, 3), and milestones int64 (T,): how many have been reached.
        """
        scene = self._scene
        scene.reset(0, seed)
        self._set(states, 0)
        frames, milestones = [scene.images()[0, 0]], [0]
        for step, action in enumerate(actions, start=1):
            scene.step(action[None])
            self._set(states, step)
            frames.append(scene.images()[0, 0])
            milestones.append(max(milestones[-1], int(scene.milestone[0])))
        return np.stack(frames), np.array(milestones, np.int64)

    def close(self) -> None:
        """Free the simulation."""
        self._scene.close()

    def _set(self, states: States, step: int) -> None:
        chosen: dict[str, dict[str, Any]] = {
            kind: {name: torch.as_tensor(rows[step])[None] for name, rows in of_kind.items()}
            for kind, of_kind in states.items()
        }
        self._scene.env.set_state_dict(chosen)
