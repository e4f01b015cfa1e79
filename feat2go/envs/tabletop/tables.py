"""N tables in this process: their episodes, and pictures and states of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from feat2go.envs.replay import replay
from feat2go.envs.tabletop.arrays import Bools, Floats, Ints
from feat2go.envs.tabletop.dynamics import GRIPPER_HIGH, advance
from feat2go.envs.tabletop.expert import expert_actions
from feat2go.envs.tabletop.render import Renderer
from feat2go.envs.tabletop.scene import Scene, SceneSampler
from feat2go.envs.tabletop.task import MILESTONES, milestone
from feat2go.envs.tabletop.world import MAX_OPENING, World
from feat2go.envs.workers.frames import Flags, Frames

ACTION_DIM = 7
STATE_DIM = 6
CAMERA = "front"


@dataclass(frozen=True)
class TableSettings:
    """What all tables have in common; see ``env.Tabletop``.

    Attributes:
        scene: draws what an episode starts from.
        image_size, max_episode_steps, expert_noise: as there.
    """

    scene: SceneSampler
    image_size: int
    max_episode_steps: int
    expert_noise: float


@dataclass(frozen=True)
class TableSizes:
    """As ``workers.pool.Sizes`` has it."""

    action_dim: int = ACTION_DIM
    state_dim: int = STATE_DIM
    cameras: tuple[str, ...] = (CAMERA,)


class Tables:
    """N tables.

    Args:
        settings: of all of them.
        frames: N rows to write to. After each call they show the present state; pictures are taken at the end of a
            chunk only, with their last sight of the episodes that ended in it.
        sample_scene: ``settings.scene``, or something that gives the same.
    """

    info = TableSizes()

    def __init__(
        self, settings: TableSettings, frames: Frames, sample_scene: Callable[[int], Scene] | None = None
    ) -> None:
        num_tables = len(frames.state)
        self.frames = frames
        self._settings = settings
        self._sample_scene = sample_scene or settings.scene
        self._world = World.zeros(num_tables, 1 + settings.scene.num_distractors, settings.scene.num_receptacles)
        self._renderer = Renderer(num_tables, settings.image_size)
        self._seeds = np.zeros(num_tables, dtype=np.int64)
        self._length = np.zeros(num_tables, dtype=np.int64)
        self._milestone = np.zeros(num_tables, dtype=np.int64)
        self._running = np.zeros(num_tables, dtype=bool)

    def reset(self, seeds: Sequence[int | None]) -> None:
        """Start an episode on every table that has a seed; the others idle, and their frames stay."""
        self._running[:] = False
        rows = np.array([row for row, seed in enumerate(seeds) if seed is not None], dtype=np.int64)
        if len(rows):
            self._start(rows, [seed for seed in seeds if seed is not None])
            self._look(rows)

    def step(self, actions: Floats, next_seeds: Sequence[int] | None, terminate_on_success: bool) -> Flags:
        """Carry out float64 (N, C, 7) in [-1, 1], as ``VectorEnv.step`` says."""
        was_running = self._running.copy()
        flags = Flags.empty(*actions.shape[:2])
        for position in range(actions.shape[1]):
            self._step(actions[:, position], position, flags, terminate_on_success)
        self._look(np.flatnonzero(was_running))
        ended = np.flatnonzero(was_running & ~self._running)
        if len(ended):
            self.frames.final_images[ended] = self.frames.images[ended]
            self.frames.final_state[ended] = self.frames.state[ended]
            if next_seeds is not None:
                self._start(ended, [next_seeds[row] for row in ended.tolist()])
                self._look(ended)
        return flags

    def begin_step(
        self, actions: Floats, next_seeds: Sequence[int] | None, terminate_on_success: bool
    ) -> Callable[[], Flags]:
        """:meth:`step`, over before this returns; what is returned gives its flags."""
        flags = self.step(actions, next_seeds, terminate_on_success)
        return lambda: flags

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None:
        """Bring every episode to where its actions float32 (L, 7) lead."""
        self._running[:] = False
        unheeded = Flags.empty(len(self._running), 1)
        for begun, now in replay(actions, ACTION_DIM):
            if len(begun):
                self._start(begun, [seeds[row] for row in begun.tolist()])
            if now is not None:
                self._step(now.astype(np.float64), 0, unheeded, terminate_on_success=False)
        self._look(np.arange(len(self._running)))

    def expert_actions(self) -> Floats:
        """float32 (N, 7): what the scripted expert would do now."""
        actions = expert_actions(self._world)
        if self._settings.expert_noise:
            actions = actions + self._settings.expert_noise * self._noise()
        clipped: Floats = np.clip(actions, -1.0, 1.0).astype(np.float32)
        return clipped

    def close(self) -> None:
        """Nothing to free."""

    def _start(self, rows: Ints, seeds: Sequence[int]) -> None:
        for row, seed in zip(rows.tolist(), seeds, strict=True):
            self._world.place(row, self._sample_scene(int(seed)))
        self._seeds[rows] = seeds
        self._length[rows] = 0
        self._milestone[rows] = 0
        self._running[rows] = True
        self._renderer.set_background(self._world, rows)

    def _step(self, actions: Floats, position: int, flags: Flags, terminate_on_success: bool) -> None:
        """One action on the running tables."""
        valid = self._running.copy()
        self._advance(valid, actions)
        self._length += valid
        now = milestone(self._world)
        success: Bools = valid & (now == len(MILESTONES))
        np.maximum(self._milestone, now, out=self._milestone, where=valid)
        terminated = success & terminate_on_success
        truncated = valid & ~terminated & (self._length >= self._settings.max_episode_steps)
        self._running &= ~(terminated | truncated)
        flags.terminated[:, position] = terminated
        flags.truncated[:, position] = truncated
        flags.success[:, position] = success
        flags.valid[:, position] = valid
        flags.milestone[:, position] = self._milestone

    def _advance(self, rows: Bools, actions: Floats) -> None:
        if rows.all():
            advance(self._world, actions)
        elif rows.any():
            chosen = np.flatnonzero(rows)
            world = self._world.select(chosen)
            advance(world, actions[chosen])
            self._world.assign(chosen, world)

    def _look(self, rows: Ints) -> None:
        """Pictures and states of some tables."""
        if not len(rows):
            return
        pictures = self._renderer.render(self._world, rows)
        # Without an index where all are written: it takes several times as long.
        self.frames.images[slice(None) if len(rows) == len(self._running) else rows, 0] = pictures
        world = self._world
        state = np.empty((len(self._running), STATE_DIM), dtype=np.float32)
        state[:, :2] = world.gripper[:, :2] / GRIPPER_HIGH[:2]
        state[:, 2] = 2.0 * world.gripper[:, 2] / GRIPPER_HIGH[2] - 1.0
        state[:, 3] = np.sin(world.yaw)
        state[:, 4] = np.cos(world.yaw)
        state[:, 5] = world.opening / MAX_OPENING
        self.frames.state[rows] = state[rows]

    def _noise(self) -> Floats:
        """Depends on the seed and the time only."""
        episodes = zip(self._seeds.tolist(), self._length.tolist(), strict=True)
        return np.stack([np.random.default_rng(episode).standard_normal(ACTION_DIM) for episode in episodes])
