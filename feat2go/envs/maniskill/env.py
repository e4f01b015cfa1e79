"""ManiSkill3 tasks behind the contract of ``core.protocols.VectorEnv``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from feat2go.core.types import Observation, Step
from feat2go.envs.maniskill.config import SimulationConfig, SimulationInfo, Vector
from feat2go.envs.maniskill.experts import EXPERTS
from feat2go.envs.maniskill.pool import worker_pool
from feat2go.envs.maniskill.requirements import require_installed
from feat2go.envs.maniskill.tasks import Task, task_named
from feat2go.envs.workers.frames import Flags, Frames
from feat2go.envs.workers.step import step_of

log = logging.getLogger(__name__)

# Policies that compute in half precision may leave the range by rounding.
_RANGE_TOLERANCE = 1e-4


class ManiSkill:
    """N environments of one ManiSkill3 task.

    Without a GPU, or if ``num_workers`` is given, they run in worker processes with software rendering. With a GPU,
    they run in ManiSkill's own GPU simulation in this process (not measured).

    The state is, for a gripper, its position (m), yaw (rad) and opening (m), and for another robot its joint positions;
    then the positions of objects that the task hides from its pictures, such as the goal of PickCube-v1.

    A worker process that dies is replaced and its episodes are discarded, with a warning in the log: in that step their
    actions count as not carried out (``valid`` is False, nothing ended), and the same seeds start again from the
    beginning. What a caller recorded of such an episode before belongs to no episode any more.

    Args:
        task: a ManiSkill task id, e.g. ``"PushCube-v1"``.
        num_envs: N.
        num_workers: processes; by default one per environment, up to the number of CPUs.
        image_size: side of the pictures in pixels.
        control: ``"ee"``: 7-d end-effector actions, see ``control.Control``; ``"joint"``: joint deltas and gripper.
        max_episode_steps: by default the task's limit.
        camera_position: metres in the world frame; by default a view chosen for the task, else its stock view.
        camera_target: what the camera looks at; goes with ``camera_position``.
        camera_fov: vertical field of view in radians.
        task_options: further arguments of the task's constructor, for a task that takes some.
        dense_reward: give the task's own dense reward with every step, between 0 and about 1 for an action.
        light_assets: low-poly robot and small floor, for software rendering; by default where there is no GPU.
        expert_noise: standard deviation of Gaussian noise on the expert's motion, in action units.
        expert_tempo: lowest relative speed, in (0, 1]. Below 1, each phase of an expert draws its own speed from
            [``expert_tempo``, 1] and is preceded by a pause of random length.
        expert_detours: random places that the expert visits before it begins, at most. In demonstrations with detours,
            where the arm is does not give away how far the task is.
        expert_turns: whether the expert turns its gripper to the sides of what it picks up. If False, it picks it up as
            it lies, so that imitating it needs no sight of how a small thing is turned.
        terminate_on_success: if False, episodes run to the limit. May be set between episodes.

    Raises:
        UnknownNameError: for an unknown task, with the closest one.
        RequirementError: if ManiSkill, Vulkan or an asset is missing, with the command that mends it.
        ValueError: for a value that is out of range.
    """

    def __init__(
        self,
        task: str,
        num_envs: int = 4,
        num_workers: int | None = None,
        image_size: int = 64,
        control: Literal["ee", "joint"] = "ee",
        max_episode_steps: int | None = None,
        camera_position: tuple[float, float, float] | None = None,
        camera_target: tuple[float, float, float] | None = None,
        camera_fov: float | None = None,
        light_assets: bool | None = None,
        expert_noise: float = 0.0,
        expert_tempo: float = 1.0,
        expert_detours: int = 0,
        expert_turns: bool = True,
        terminate_on_success: bool = True,
        dense_reward: bool = False,
        task_options: dict[str, Any] | None = None,
    ) -> None:
        require_installed()
        _require(num_envs >= 1, f"num_envs must be at least 1, got {num_envs}")
        _require(num_workers is None or 1 <= num_workers <= num_envs, f"num_workers must be in [1, {num_envs}]")
        _require(image_size >= 16, f"image_size must be at least 16, got {image_size}")
        _require(max_episode_steps is None or max_episode_steps >= 1, "max_episode_steps must be at least 1")
        _require(control in ("ee", "joint"), f"control must be 'ee' or 'joint', got '{control}'")
        _require(expert_noise >= 0, f"expert_noise must not be negative, got {expert_noise}")
        _require(0 < expert_tempo <= 1, f"expert_tempo must be in (0, 1], got {expert_tempo}")
        _require(expert_detours >= 0, f"expert_detours must not be negative, got {expert_detours}")
        on_gpu = num_workers is None and torch.cuda.is_available()
        light_assets = not torch.cuda.is_available() if light_assets is None else light_assets
        # As a warning, because information is not shown by default and the pictures depend on it.
        log.warning("ManiSkill renders with %s assets", "light (low-poly)" if light_assets else "its stock")

        self.env_id = task
        self.num_envs = num_envs
        self.image_size = image_size
        self.terminate_on_success = terminate_on_success
        self._task = task_named(task)
        self._task_options = task_options or {}
        self.milestones = self._task.milestone_names
        self._control = control
        self._gives_reward = dense_reward
        view, fov = _view(self._task, camera_position, camera_target, camera_fov)
        config = SimulationConfig(
            task=task,
            image_size=image_size,
            control=control,
            view=view,
            fov=fov,
            light_assets=light_assets,
            max_episode_steps=max_episode_steps,
            expert_noise=expert_noise,
            expert_tempo=expert_tempo,
            expert_detours=expert_detours,
            expert_turns=expert_turns,
            dense_reward=dense_reward,
            task_options=task_options or {},
        )
        self._simulation = _start(config, num_envs, num_workers, on_gpu)
        self.action_dim = self._simulation.info.action_dim
        self.state_dim = self._simulation.info.state_dim
        self.max_episode_steps = self._simulation.info.max_episode_steps
        self.fps = self._simulation.info.fps
        self.cameras = self._simulation.info.cameras
        self._seeds: list[int] = []

    def reset(self, seeds: Sequence[int]) -> Observation:
        """Start a new episode everywhere.

        Args:
            seeds: N integers in [0, 2^32).

        Raises:
            ValueError: for another number of seeds, or one out of range.
        """
        self._seeds = self._checked(seeds)
        self._simulation.reset(self._seeds)
        return self._observation()

    def step(self, actions: Tensor | np.ndarray, next_seeds: Sequence[int] | None = None) -> Step:
        """Carry out a chunk of actions; see ``VectorEnv.step``.

        Args:
            actions: (N, C, A) in [-1, 1], numpy or torch.
            next_seeds: N integers in [0, 2^32), for the environments whose episode ends.

        Raises:
            RuntimeError: before the first ``reset``, or if a worker process keeps dying.
            ValueError: for another shape, NaN, or a value outside of [-1, 1].
        """
        self._require_reset()
        commands = self._checked_actions(actions)
        seeds = None if next_seeds is None else self._checked(next_seeds)
        flags = self._simulation.step(commands, seeds, self.terminate_on_success)
        final_index = flags.ended_rows
        final_observation = self._final_observation(final_index)
        if seeds is not None:
            for row in final_index:
                self._seeds[row] = seeds[row]
        reward = torch.from_numpy(flags.reward) if self._gives_reward else None
        return step_of(flags, self._observation(), final_observation, reward)

    def restore(self, seeds: Sequence[int], actions: Sequence[Tensor]) -> Observation:
        """Bring back episodes that were under way; see ``VectorEnv.restore``.

        Exact in worker processes. GPU simulation does not repeat itself to the bit.

        Raises:
            ValueError: for another number of seeds, one out of range, or actions of another width.
            RuntimeError: if a worker process dies meanwhile.
        """
        self._seeds = self._checked(seeds)
        self._simulation.restore(self._seeds, [np.asarray(part, np.float32) for part in actions])
        return self._observation()

    def expert_actions(self) -> Tensor:
        """float32 (N, A): what the scripted expert would do now, with its noise; zero where no episode runs.

        Raises:
            NotImplementedError: for a task without an expert and for joint control.
        """
        if self.env_id not in EXPERTS:
            raise NotImplementedError(f"'{self.env_id}' has no expert; these tasks have one: {', '.join(EXPERTS)}")
        if self._control != "ee":
            raise NotImplementedError("the experts act in end-effector control: set control='ee'")
        self._require_reset()
        return torch.from_numpy(self._simulation.expert_actions())

    def close(self) -> None:
        """End the processes. May be called twice."""
        self._simulation.close()

    def _observation(self) -> Observation:
        frames = self._simulation.frames
        return Observation(
            images=self._by_camera(frames.images.copy()),
            state=torch.from_numpy(frames.state.copy()),
            instruction=[self._task.instruction(seed, self._task_options) for seed in self._seeds],
        )

    def _final_observation(self, rows: list[int]) -> Observation:
        frames = self._simulation.frames
        return Observation(
            images=self._by_camera(frames.final_images[rows]),
            state=torch.from_numpy(frames.final_state[rows]),
            instruction=[self._task.instruction(self._seeds[row], self._task_options) for row in rows],
        )

    def _by_camera(self, images: np.ndarray) -> dict[str, Tensor]:
        """(N, K, H, W, 3) -> name -> (N, H, W, 3)."""
        by_camera = torch.from_numpy(images).unbind(dim=1)
        return {name: images.contiguous() for name, images in zip(self.cameras, by_camera, strict=True)}

    def _require_reset(self) -> None:
        if not self._seeds:
            raise RuntimeError("call reset(seeds) first")

    def _checked_actions(self, actions: Tensor | np.ndarray) -> np.ndarray:
        commands = torch.as_tensor(actions).detach().cpu().numpy().astype(np.float32)
        _require(
            commands.ndim == 3 and commands.shape[::2] == (self.num_envs, self.action_dim) and commands.shape[1] > 0,
            f"actions must have the shape ({self.num_envs}, C, {self.action_dim}), got {commands.shape}",
        )
        largest = np.abs(commands).max()
        _require(bool(largest <= 1 + _RANGE_TOLERANCE), f"actions must lie in [-1, 1]; the largest is {largest:g}")
        return commands.clip(-1, 1)

    def _checked(self, seeds: Sequence[int]) -> list[int]:
        numbers = [int(seed) for seed in seeds]
        _require(len(numbers) == self.num_envs, f"{self.num_envs} seeds are needed, got {len(numbers)}")
        _require(all(0 <= seed < 2**32 for seed in numbers), f"seeds must be in [0, 2^32), got {numbers}")
        return numbers


class _Simulation(Protocol):
    """What runs the environments: worker processes or the GPU."""

    @property
    def info(self) -> SimulationInfo: ...

    @property
    def frames(self) -> Frames: ...

    def reset(self, seeds: Sequence[int]) -> None: ...

    def step(self, actions: np.ndarray, next_seeds: Sequence[int] | None, terminate_on_success: bool) -> Flags: ...

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None: ...

    def expert_actions(self) -> np.ndarray: ...

    def close(self) -> None: ...


def _start(config: SimulationConfig, num_envs: int, num_workers: int | None, on_gpu: bool) -> _Simulation:
    if on_gpu:
        from feat2go.envs.maniskill.gpu import GpuSimulation

        return GpuSimulation(config, num_envs)
    return worker_pool(config, num_envs, num_workers or min(num_envs, len(os.sched_getaffinity(0))))


def _view(
    task: Task, position: Vector | None, target: Vector | None, fov: float | None
) -> tuple[tuple[Vector, Vector] | None, float | None]:
    """The camera's pose and field of view: what was asked for, else the task's, else None for the stock one."""
    _require((position is None) == (target is None), "camera_position and camera_target go together")
    if position is not None and target is not None:
        view: tuple[Vector, Vector] | None = (position, target)
    else:
        view = (task.camera.position, task.camera.target) if task.camera else None
    return view, fov if fov is not None or task.camera is None else task.camera.fov


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
