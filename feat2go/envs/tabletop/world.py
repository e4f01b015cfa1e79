"""The state of N tables as arrays, environment first. Legend: N environments, K objects, R receptacles."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints
from feat2go.envs.tabletop.kinds import BOX
from feat2go.envs.tabletop.scene import Item, Scene

# Distance in metres between the open fingers.
MAX_OPENING = 0.10
NOTHING = -1


@dataclass
class Bodies:
    """K upright solids in each of N environments.

    Attributes:
        solid: int (N, K), BOX, CYLINDER or BALL.
        half: (N, K, 3), half extents in metres.
        symmetry: (N, K), the angle in radians after which a turn changes nothing, 0 for round ones.
        position: (N, K, 3), centre in metres.
        yaw: (N, K), in radians.
        colour: uint8 (N, K, 3).
        inset: (N, K), brightness of the top inside of the rim; 1 for no rim.
    """

    solid: Ints
    half: Floats
    symmetry: Floats
    position: Floats
    yaw: Floats
    colour: Floats
    inset: Floats

    @classmethod
    def zeros(cls, num_envs: int, count: int) -> Bodies:
        """Placeholders, to be written by :meth:`place`."""
        shape = (num_envs, count)
        return cls(
            np.full(shape, BOX),
            np.ones((*shape, 3)),
            np.zeros(shape),
            np.zeros((*shape, 3)),
            np.zeros(shape),
            np.zeros((*shape, 3), dtype=np.uint8),
            np.ones(shape),
        )

    def place(self, env: int, items: list[Item]) -> None:
        """Put ``items`` on the table of one environment."""
        for k, item in enumerate(items):
            self.solid[env, k] = item.kind.solid
            self.half[env, k] = item.kind.half
            self.symmetry[env, k] = item.kind.symmetry
            self.position[env, k] = (*item.position, item.kind.half[2])
            self.yaw[env, k] = item.yaw
            self.colour[env, k] = item.colour
            self.inset[env, k] = item.kind.inset

    @property
    def bottom(self) -> Floats:
        """(N, K), height of the lower face in metres."""
        return self.position[..., 2] - self.half[..., 2]

    @property
    def top(self) -> Floats:
        """(N, K), height of the upper face in metres."""
        return self.position[..., 2] + self.half[..., 2]

    def __getitem__(self, key: Any) -> Bodies:
        """The same index into every array, e.g. ``bodies[rows]``, ``bodies[:, 0]`` or ``bodies[:, None]``."""
        return Bodies(*(getattr(self, field.name)[key] for field in fields(self)))

    def beside(self, others: Bodies) -> Bodies:
        """These and others, of the same environments."""
        parts = ((getattr(self, field.name), getattr(others, field.name)) for field in fields(self))
        return Bodies(*(np.concatenate(pair, axis=1) for pair in parts))

    def assign(self, rows: Ints, other: Bodies) -> None:
        """Overwrite some environments."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


@dataclass
class World:
    """N tables with a gripper each. Object 0 and receptacle 0 are the ones that the instruction names.

    Attributes:
        objects, receptacles: what stands on the tables; receptacles never move.
        gripper: (N, 3), the point between the finger tips, in metres.
        yaw: (N,), of the gripper, in radians. At 0 the fingers close along the y axis.
        opening: (N,), distance between the fingers in metres.
        held: int (N,), the index of the object between the fingers, or NOTHING.
        grip: (N, 3), of the held object: its centre in the gripper's frame.
        grip_yaw: (N,), of the held object: its yaw in the gripper's frame.
    """

    objects: Bodies
    receptacles: Bodies
    gripper: Floats
    yaw: Floats
    opening: Floats
    held: Ints
    grip: Floats
    grip_yaw: Floats

    @classmethod
    def zeros(cls, num_envs: int, num_objects: int, num_receptacles: int) -> World:
        """Placeholders, to be written by :meth:`place`."""
        return cls(
            Bodies.zeros(num_envs, num_objects),
            Bodies.zeros(num_envs, num_receptacles),
            np.zeros((num_envs, 3)),
            np.zeros(num_envs),
            np.full(num_envs, MAX_OPENING),
            np.full(num_envs, NOTHING),
            np.zeros((num_envs, 3)),
            np.zeros(num_envs),
        )

    def place(self, env: int, scene: Scene) -> None:
        """Set up the table of one environment, with open fingers."""
        self.objects.place(env, scene.objects)
        self.receptacles.place(env, scene.receptacles)
        self.gripper[env] = scene.gripper
        self.yaw[env] = scene.gripper_yaw
        self.opening[env] = MAX_OPENING
        self.held[env] = NOTHING

    def select(self, rows: Ints) -> World:
        """A copy of some environments."""
        return World(*(getattr(self, field.name)[rows] for field in fields(self)))

    def assign(self, rows: Ints, other: World) -> None:
        """Overwrite some environments."""
        for field in fields(self):
            mine, new = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, Bodies):
                mine.assign(rows, new)
            else:
                mine[rows] = new
