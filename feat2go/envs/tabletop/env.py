"""The built-in environment: "put X on Y" on a table, seen by a fixed camera. Numpy inside, torch at the boundary."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from feat2go.core.types import Observation, Step
from feat2go.envs.tabletop.arrays import Floats
from feat2go.envs.tabletop.kinds import COLOURS, OBJECTS, RECEPTACLES
from feat2go.envs.tabletop.pool import worker_pool
from feat2go.envs.tabletop.scene import SceneSampler
from feat2go.envs.tabletop.tables import ACTION_DIM, CAMERA, STATE_DIM, Tables, TableSettings
from feat2go.envs.tabletop.task import MILESTONES
from feat2go.envs.workers.frames import Flags, Frames
from feat2go.envs.workers.step import step_of

MAX_DISTRACTORS = 3
MAX_RECEPTACLES = 3
# Policies that compute in half precision may leave the range by rounding.
RANGE_TOLERANCE = 1e-4


class Tabletop:
    """N tables with objects, receptacles and a two-finger gripper: "put the red cube on the blue plate".

    An action is a change of the gripper's pose in OpenVLA's convention, each number in [-1, 1]: dx, dy, dz (1 is 5 cm;
    x away from the camera, y to the left, z up), roll, pitch, yaw (1 is 0.3 rad), gripper. Roll and pitch have no
    effect. Gripper > 0 opens, < 0 closes, 0 leaves the fingers where they are; a full stroke takes two actions. An
    elongated object only fits between the fingers if the yaw does.

    Success: the named object rests on the named receptacle and is not held. The state is the gripper's: position scaled
    to [-1, 1], sine and cosine of the yaw, opening in [0, 1]. Everything about an episode is a function of its seed and
    the actions.

    Args:
        num_envs: N.
        image_size: side of the picture in pixels, at least 32.
        max_episode_steps: actions after which an episode is truncated.
        objects: kinds of objects to draw from: cube, ball, cylinder, bar.
        receptacles: kinds of receptacles to draw from: plate, tray, bowl.
        colours: to draw from: red, green, blue, yellow, purple, white.
        num_distractors: objects beside the named one, at most 3.
        num_receptacles: receptacles on the table, the named one included, 1 to 3.
        workspace: scale in (0, 1] of the area that everything starts in. Small is easy: the gripper is near at once.
        expert_noise: standard deviation of the Gaussian noise on the expert's actions.
        terminate_on_success: end an episode at its first success; if False, it runs to the limit.
        num_workers: processes that share the tables among them; 0 for none but this one. The episodes are the same.

    Raises:
        ValueError: for an argument out of its range; the message names it.
    """

    env_id = "tabletop"
    action_dim = ACTION_DIM
    state_dim = STATE_DIM
    cameras = (CAMERA,)
    fps = 5.0
    milestones = MILESTONES

    def __init__(
        self,
        num_envs: int = 16,
        image_size: int = 64,
        max_episode_steps: int = 40,
        objects: Sequence[str] = tuple(OBJECTS),
        receptacles: Sequence[str] = tuple(RECEPTACLES),
        colours: Sequence[str] = tuple(COLOURS),
        num_distractors: int = 1,
        num_receptacles: int = 2,
        workspace: float = 1.0,
        expert_noise: float = 0.0,
        terminate_on_success: bool = True,
        num_workers: int = 0,
    ) -> None:
        _require_range("num_envs", num_envs, 1)
        _require_range("image_size", image_size, 32)
        _require_range("max_episode_steps", max_episode_steps, 1)
        _require_range("num_distractors", num_distractors, 0, MAX_DISTRACTORS)
        _require_range("num_receptacles", num_receptacles, 1, MAX_RECEPTACLES)
        _require_range("expert_noise", expert_noise, 0)
        _require_range("num_workers", num_workers, 0, num_envs)
        if not 0.0 < workspace <= 1.0:
            raise ValueError(f"workspace must be in (0, 1]; got {workspace}")
        _require_names("objects", objects, OBJECTS, colours, 1 + num_distractors)
        _require_names("receptacles", receptacles, RECEPTACLES, colours, num_receptacles)

        self.num_envs = num_envs
        self.image_size = image_size
        self.max_episode_steps = max_episode_steps
        self.terminate_on_success = terminate_on_success
        sample_scene = SceneSampler(objects, receptacles, colours, num_distractors, num_receptacles, workspace)
        settings = TableSettings(sample_scene, image_size, max_episode_steps, expert_noise)
        # The tables of this process and the sentences come from the same scenes.
        self._scene = functools.lru_cache(maxsize=num_envs)(sample_scene)
        self._simulation: _Simulation
        if num_workers:
            self._simulation = worker_pool(settings, num_envs, num_workers)
        else:
            self._simulation = Tables(settings, Frames.zeros(num_envs, 1, image_size, STATE_DIM), self._scene)
        self._instruction: list[str] = []

    def reset(self, seeds: Sequence[int]) -> Observation:
        """Start a new episode everywhere.

        Args:
            seeds: N non-negative integers.

        Raises:
            ValueError: for another number of seeds, or a negative one.
        """
        numbers = self._checked_seeds(seeds)
        self._simulation.reset(numbers)
        self._instruction = [self._scene(seed).instruction for seed in numbers]
        return self._observation()

    def step(self, actions: Tensor, next_seeds: Sequence[int] | None = None) -> Step:
        """Carry out a chunk of actions.

        An environment whose episode ends inside the chunk carries out no more of it. With ``next_seeds`` it then starts
        the episode of its seed; without, it idles until ``reset``.

        Args:
            actions: (N, C, 7) in [-1, 1], numpy or torch.
            next_seeds: N non-negative integers, used by the environments whose episode ends.

        Raises:
            RuntimeError: before the first ``reset``.
            ValueError: for another shape, NaN, or a value outside of [-1, 1].
        """
        return self.begin_step(actions, next_seeds)()

    def begin_step(self, actions: Tensor, next_seeds: Sequence[int] | None = None) -> Callable[[], Step]:
        """Have :meth:`step` begin; what is returned waits for its end.

        Worker processes step meanwhile. Without any, the step is over before this returns.

        Raises:
            RuntimeError, ValueError: as :meth:`step`.
        """
        self._require_reset("step(actions)")
        chunk = self._checked_actions(actions)
        seeds = None if next_seeds is None else self._checked_seeds(next_seeds)
        end_step = self._simulation.begin_step(chunk, seeds, self.terminate_on_success)
        return lambda: self._step_of(end_step(), seeds)

    def restore(self, seeds: Sequence[int], actions: Sequence[Tensor]) -> Observation:
        """Bring back episodes that were under way; see ``VectorEnv.restore``.

        Args:
            seeds: N non-negative integers.
            actions: for each environment float32 (L, 7), what was carried out so far.

        Raises:
            ValueError: for another number of seeds, a negative one, or actions of another width.
        """
        numbers = self._checked_seeds(seeds)
        self._simulation.restore(numbers, [np.asarray(part, np.float32) for part in actions])
        self._instruction = [self._scene(seed).instruction for seed in numbers]
        return self._observation()

    def expert_actions(self) -> Tensor:
        """float32 (N, 7): what the scripted expert would do now. Its noise depends on the seed and the time only.

        Raises:
            RuntimeError: before the first ``reset``.
        """
        self._require_reset("expert_actions()")
        return torch.from_numpy(self._simulation.expert_actions())

    def close(self) -> None:
        """End the worker processes. May be called twice."""
        self._simulation.close()

    def _step_of(self, flags: Flags, next_seeds: list[int] | None) -> Step:
        frames, ended = self._simulation.frames, flags.ended_rows
        final_observation = Observation(
            {CAMERA: torch.from_numpy(frames.final_images[ended, 0])},
            torch.from_numpy(frames.final_state[ended]),
            [self._instruction[row] for row in ended],
        )
        if next_seeds is not None:
            for row in ended:
                self._instruction[row] = self._scene(next_seeds[row]).instruction
        return step_of(flags, self._observation(), final_observation)

    def _observation(self) -> Observation:
        """Copies: what was given stays as it is."""
        frames = self._simulation.frames
        images, state = torch.from_numpy(frames.images[:, 0].copy()), torch.from_numpy(frames.state.copy())
        return Observation({CAMERA: images}, state, list(self._instruction))

    def _require_reset(self, what: str) -> None:
        if not self._instruction:
            raise RuntimeError(f"call reset(seeds) before {what}")

    def _checked_seeds(self, seeds: Sequence[int]) -> list[int]:
        array = np.asarray(seeds)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu" or (array < 0).any():
            raise ValueError(f"expected {self.num_envs} non-negative integer seeds, one per environment; got {seeds!r}")
        numbers: list[int] = array.tolist()
        return numbers

    def _checked_actions(self, actions: Tensor) -> Floats:
        array = torch.as_tensor(actions).detach().to("cpu", torch.float64).numpy()
        if array.ndim != 3 or array.shape[::2] != (self.num_envs, ACTION_DIM) or array.shape[1] == 0:
            raise ValueError(
                f"expected actions of shape ({self.num_envs}, C, {ACTION_DIM}): environments, chunk, action; "
                f"got {tuple(array.shape)}"
            )
        outside = ~(np.abs(array) <= 1.0 + RANGE_TOLERANCE)
        if outside.any():
            env, i, dim = np.argwhere(outside)[0].tolist()
            raise ValueError(
                f"actions must lie in [-1, 1]; actions[{env}, {i}, {dim}] is {array[env, i, dim]:g}. "
                "Clip or rescale them first."
            )
        clipped: Floats = np.minimum(np.maximum(array, -1.0), 1.0)
        return clipped


class _Simulation(Protocol):
    """What runs the tables: this process or workers."""

    @property
    def frames(self) -> Frames: ...

    def reset(self, seeds: Sequence[int]) -> None: ...

    def begin_step(
        self, actions: Floats, next_seeds: Sequence[int] | None, terminate_on_success: bool
    ) -> Callable[[], Flags]: ...

    def restore(self, seeds: Sequence[int], actions: Sequence[Floats]) -> None: ...

    def expert_actions(self) -> Floats: ...

    def close(self) -> None: ...


def _require_range(name: str, value: float, low: int, high: int | None = None) -> None:
    if value < low or (high is not None and value > high):
        expected = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {expected}; got {value}")


def _require_names(name: str, given: Sequence[str], known: Iterable[str], colours: Sequence[str], needed: int) -> None:
    for argument, names, table in ((name, given, known), ("colours", colours, COLOURS)):
        unknown = [item for item in names if item not in table]
        if unknown or not names:
            raise ValueError(f"{argument} must be some of {', '.join(table)}; got {list(names)}")
    if len(set(given)) * len(set(colours)) < needed:
        raise ValueError(
            f"{needed} {name} are asked for, but {list(given)} in {list(colours)} are not enough to tell them apart; "
            "add kinds or colours"
        )
