"""Pictures and milestones of recorded episodes, from states and actions; and other pictures of the same states."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from feat2go.envs.maniskill import light
from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.requirements import require_installed
from feat2go.envs.maniskill.scene import Scene
from feat2go.envs.maniskill.tasks import task_named
from feat2go.envs.maniskill.variations import Variation, varied

# Kind ("actors", "articulations") -> name -> (T, state).
States = Mapping[str, Mapping[str, np.ndarray]]


class Replayer:
    """Plays recorded episodes of one task again, on the CPU.

    Args:
        task: a ManiSkill task id.
        control_mode: ManiSkill's name of what the actions mean, or ``"ee"`` or ``"joint"``.
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
        """One episode: its pictures and milestones.

        Each action is carried out, so that contacts are as they were, and then the recorded state is set, so that
        nothing drifts.

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

    def see_otherwise(self, seed: int, actions: np.ndarray, variation: Variation) -> tuple[np.ndarray, np.ndarray]:
        """The same states in other pictures.

        The episode is carried out twice, without pictures to find what places it takes, and then with them. The
        simulation repeats itself to the bit.

        Args:
            seed: that it was reset with.
            actions: (T-1, A), as recorded by ``feat2go collect``.
            variation: what looks otherwise.

        Returns:
            Frames uint8 (T, H, W, 3), and what is known of the states besides, float32 (T, S), as recorded.
        """
        scene = self._scene
        occupied = np.concatenate([scene.positions()[0, :, :2] for _ in self._carry_out(seed, actions)])
        frames, states = [], []
        playing = self._carry_out(seed, actions)
        next(playing)
        with varied(scene, variation, occupied):
            for _ in itertools.chain([None], playing):
                frames.append(scene.images()[0, 0])
                states.append(scene.states()[0])
        return np.stack(frames), np.stack(states)

    def first_frame(self, seed: int) -> np.ndarray:
        """uint8 (H, W, 3): as an episode begins."""
        self._scene.reset(0, seed)
        first: np.ndarray = self._scene.images()[0, 0]
        return first

    def _carry_out(self, seed: int, actions: np.ndarray) -> Iterator[None]:
        """Stops after the reset and after every action."""
        self._scene.reset(0, seed)
        yield
        for action in actions:
            self._scene.step(action[None])
            yield

    def close(self) -> None:
        """Free the simulation."""
        self._scene.close()

    def _set(self, states: States, step: int) -> None:
        chosen: dict[str, dict[str, Any]] = {
            kind: {name: torch.as_tensor(rows[step])[None] for name, rows in of_kind.items()}
            for kind, of_kind in states.items()
        }
        self._scene.env.set_state_dict(chosen)
