"""The built-in environment: "put X on Y" on a table, seen by a fixed camera. Numpy inside, torch at the boundary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from feat2go.core.types import Observation, Step
from feat2go.envs.replay import replay
from feat2go.envs.tabletop.arrays import Bools, Floats, Ints, Pixels
from feat2go.envs.tabletop.dynamics import GRIPPER_HIGH, advance
from feat2go.envs.tabletop.expert import expert_actions
from feat2go.envs.tabletop.kinds import COLOURS, OBJECTS, RECEPTACLES
from feat2go.envs.tabletop.render import Renderer
from feat2go.envs.tabletop.scene import SceneSampler
from feat2go.envs.tabletop.task import MILESTONES, milestone, succeeded
from feat2go.envs.tabletop.world import MAX_OPENING, World

ACTION_DIM = 7
STATE_DIM = 6
CAMERA = "front"
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
    ) -> None:
        _require_range("num_envs", num_envs, 1)
        _require_range("image_size", image_size, 32)
        _require_range("max_episode_steps", max_episode_steps, 1)
        _require_range("num_distractors", num_distractors, 0, MAX_DISTRACTORS)
        _require_range("num_receptacles", num_receptacles, 1, MAX_RECEPTACLES)
        _require_range("expert_noise", expert_noise, 0)
        if not 0.0 < workspace <= 1.0:
            raise ValueError(f"workspace must be in (0, 1]; got {workspace}")
        _require_names("objects", objects, OBJECTS, colours, 1 + num_distractors)
        _require_names("receptacles", receptacles, RECEPTACLES, colours, num_receptacles)

        self.num_envs = num_envs
        self.image_size = image_size
        self.max_episode_steps = max_episode_steps
        self.expert_noise = expert_noise
        self.terminate_on_success = terminate_on_success
        self._sample_scene = SceneSampler(objects, receptacles, colours, num_distractors, num_receptacles, workspace)
        self._world = World.zeros(num_envs, 1 + num_distractors, num_receptacles)
        self._renderer = Renderer(num_envs, image_size)
        self._seeds = np.zeros(num_envs, dtype=np.int64)
        self._length = np.zeros(num_envs, dtype=np.int64)
        self._milestone = np.zeros(num_envs, dtype=np.int64)
        self._running = np.zeros(num_envs, dtype=bool)
        self._instruction = [""] * num_envs
        self._images = np.zeros((num_envs, image_size, image_size, 3), dtype=np.uint8)
        self._started = False

    def reset(self, seeds: Sequence[int]) -> Observation:
        """Start a new episode everywhere.

        Args:
            seeds: N non-negative integers.

        Raises:
            ValueError: for another number of seeds, or a negative one.
        """
        every = np.arange(self.num_envs)
        self._start(every, self._check_seeds(seeds))
        self._started = True
        self._images = self._renderer.render(self._world, every)
        return self._observe()

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
        if not self._started:
            raise RuntimeError("call reset(seeds) before step(actions)")
        chunk = self._check_actions(actions)
        seeds = None if next_seeds is None else self._check_seeds(next_seeds)
        was_running = self._running.copy()
        flags = [self._advance(chunk[:, i]) for i in range(chunk.shape[1])]
        terminated, truncated, success, valid, milestones = (
            torch.from_numpy(np.stack(flag, axis=1)) for flag in zip(*flags, strict=True)
        )

        self._images = self._with_new_frames(np.flatnonzero(was_running))
        ended = np.flatnonzero(was_running & ~self._running)
        final_index = torch.from_numpy(ended)
        final_observation = self._observe().select(final_index)
        if seeds is not None and len(ended):
            self._start(ended, seeds[ended])
            self._images[ended] = self._renderer.render(self._world, ended)
        return Step(self._observe(), terminated, truncated, success, valid, milestones, final_index, final_observation)

    def restore(self, seeds: Sequence[int], actions: Sequence[Tensor]) -> Observation:
        """Bring back episodes that were under way; see ``VectorEnv.restore``.

        Args:
            seeds: N non-negative integers.
            actions: for each environment float32 (L, 7), what was carried out so far.

        Raises:
            ValueError: for another number of seeds, a negative one, or actions of another width.
        """
        numbers = self._check_seeds(seeds)
        self._running[:] = False
        for begun, now in replay(actions, ACTION_DIM):
            if len(begun):
                self._start(begun, numbers[begun])
            if now is not None:
                self._advance(now.astype(np.float64))
        self._started = True
        self._images = self._renderer.render(self._world, np.arange(self.num_envs))
        return self._observe()

    def expert_actions(self) -> Tensor:
        """float32 (N, 7): what the scripted expert would do now. Its noise depends on the seed and the time only.

        Raises:
            RuntimeError: before the first ``reset``.
        """
        if not self._started:
            raise RuntimeError("call reset(seeds) before expert_actions()")
        actions = expert_actions(self._world)
        if self.expert_noise:
            actions = actions + self.expert_noise * self._noise()
        return torch.from_numpy(np.clip(actions, -1.0, 1.0).astype(np.float32))

    def close(self) -> None:
        """Nothing to free."""

    def _start(self, rows: Ints, seeds: Ints) -> None:
        for env, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
            scene = self._sample_scene(seed)
            self._world.place(env, scene)
            self._instruction[env] = scene.instruction
        self._seeds[rows] = seeds
        self._length[rows] = 0
        self._milestone[rows] = 0
        self._running[rows] = True
        self._renderer.set_background(self._world, rows)

    def _advance(self, actions: Floats) -> tuple[Bools | Ints, ...]:
        """One action in the running environments: terminated, truncated, success, valid, milestone, each (N,)."""
        valid = self._running.copy()
        if valid.all():
            advance(self._world, actions)
        elif valid.any():
            rows = np.flatnonzero(valid)
            running = self._world.select(rows)
            advance(running, actions[rows])
            self._world.assign(rows, running)
        self._length += valid
        success = valid & succeeded(self._world)
        self._milestone = np.where(valid, np.maximum(self._milestone, milestone(self._world)), self._milestone)
        terminated = success & self.terminate_on_success
        truncated = valid & ~terminated & (self._length >= self.max_episode_steps)
        self._running &= ~(terminated | truncated)
        return terminated, truncated, success, valid, self._milestone

    def _with_new_frames(self, rows: Ints) -> Pixels:
        """All pictures, those of ``rows`` rendered anew. Never the array of an earlier observation."""
        if len(rows) == self.num_envs:
            return self._renderer.render(self._world, rows)
        images = self._images.copy()
        if len(rows):
            images[rows] = self._renderer.render(self._world, rows)
        return images

    def _observe(self) -> Observation:
        world = self._world
        state = np.empty((self.num_envs, STATE_DIM), dtype=np.float32)
        state[:, :2] = world.gripper[:, :2] / GRIPPER_HIGH[:2]
        state[:, 2] = 2.0 * world.gripper[:, 2] / GRIPPER_HIGH[2] - 1.0
        state[:, 3] = np.sin(world.yaw)
        state[:, 4] = np.cos(world.yaw)
        state[:, 5] = world.opening / MAX_OPENING
        return Observation({CAMERA: torch.from_numpy(self._images)}, torch.from_numpy(state), list(self._instruction))

    def _noise(self) -> Floats:
        episodes = zip(self._seeds.tolist(), self._length.tolist(), strict=True)
        return np.stack([np.random.default_rng(episode).standard_normal(ACTION_DIM) for episode in episodes])

    def _check_seeds(self, seeds: Sequence[int]) -> Ints:
        array = np.asarray(seeds)
        if array.shape != (self.num_envs,) or array.dtype.kind not in "iu" or (array < 0).any():
            raise ValueError(f"expected {self.num_envs} non-negative integer seeds, one per environment; got {seeds!r}")
        return array.astype(np.int64)

    def _check_actions(self, actions: Tensor) -> Floats:
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
        clipped: Floats = np.clip(array, -1.0, 1.0)
        return clipped


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
