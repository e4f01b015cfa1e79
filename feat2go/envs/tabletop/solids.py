"""Solids of any shape in any pictures, and the boxes around them and their shadows. Legend: M solids."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints
from feat2go.envs.tabletop.camera import POSITION
from feat2go.envs.tabletop.kinds import BALL, BOX, CYLINDER
from feat2go.envs.tabletop.world import Bodies

# Unit vector towards the light.
LIGHT = (np.array([-0.26, 0.40, 1.0]) / np.linalg.norm([-0.26, 0.40, 1.0])).astype(np.float32)
CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=np.float32).T


@dataclass(frozen=True)
class Solids:
    """M solids, those of one shape next to one another. Numbers are float32.

    Attributes:
        solid: int (M,), BOX, CYLINDER or BALL, in this order.
        picture: int (M,), in which they are.
        centre: (3, M), in metres.
        half: (3, M), half extents in metres.
        turn: (2, M), cosine and sine of the yaw.
        colour: (3, M), 0 to 255.
        inset: (M,), brightness of the top inside of the rim; 1 where there is no rim.
        light: (3, M), unit vector towards the light in the frame of each.
        camera: (3, M), the camera's position in the frame of each, in metres.
    """

    solid: Ints
    picture: Ints
    centre: Floats
    half: Floats
    turn: Floats
    colour: Floats
    inset: Floats
    light: Floats
    camera: Floats

    @classmethod
    def of(cls, bodies: Bodies, pictures: Ints) -> Solids:
        """All bodies of the environments that are seen in ``pictures``."""
        solid = bodies.solid.reshape(-1)
        # Stable: in the order of environments and slots within each shape.
        order = solid.argsort(kind="stable")

        def chosen(part: Floats) -> Floats:
            """(N, K, ...) -> float32 (..., M)."""
            rows = part.reshape(len(order), *part.shape[2:]).take(order, axis=0)
            return np.ascontiguousarray(rows.T, np.float32)

        yaw = bodies.yaw.reshape(-1).take(order)
        turn, centre = np.array([np.cos(yaw), np.sin(yaw)], dtype=np.float32), chosen(bodies.position)
        return cls(
            solid[order],
            pictures[order // bodies.solid.shape[1]],
            centre,
            chosen(bodies.half),
            turn,
            chosen(bodies.colour),
            chosen(bodies.inset),
            _into_frame(turn, LIGHT[:, None]),
            _into_frame(turn, POSITION[:, None] - centre),
        )

    def __getitem__(self, chosen: slice) -> Solids:
        """Some of them."""
        return Solids(*(getattr(self, field.name)[..., chosen] for field in fields(self)))

    def shapes(self) -> list[slice]:
        """Where the solids of each shape are that is there."""
        ends = np.searchsorted(self.solid, [BOX, CYLINDER, BALL], side="right").tolist()
        return [slice(start, end) for start, end in itertools.pairwise([0, *ends]) if start < end]

    @property
    def shape(self) -> int:
        """BOX, CYLINDER or BALL, where all are of one shape."""
        return int(self.solid[0])

    @property
    def corners(self) -> Floats:
        """(3, 8, M), of the boxes around the solids, in metres."""
        cosine, sine = self.turn
        corners = CORNERS[:, :, None] * self.half[:, None]
        x, y, _ = corners
        corners[0], corners[1] = cosine * x - sine * y, sine * x + cosine * y
        corners += self.centre[:, None]
        return corners


def _into_frame(turn: Floats, vector: Floats) -> Floats:
    """Vectors of the world (3, M), or one for all (3, 1), in the frames of solids with ``turn``."""
    (cosine, sine), (x, y, z) = turn, vector
    turned = np.empty((3, turn.shape[1]), dtype=np.float32)
    turned[0], turned[1], turned[2] = cosine * x + sine * y, cosine * y - sine * x, z
    return turned


def shadow_of(points: Floats) -> Floats:
    """Points (3, Q, M) of the world -> where their shadows fall on the plane z = 0."""
    shadow: Floats = points - LIGHT[:, None, None] * (points[2] / LIGHT[2])
    return shadow
