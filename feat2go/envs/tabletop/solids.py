"""Solids of any shape in any pictures, and the boxes around them and their shadows. Legend: M solids."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints
from feat2go.envs.tabletop.kinds import BALL, BOX, CYLINDER
from feat2go.envs.tabletop.raycast import Vector
from feat2go.envs.tabletop.world import Bodies

# Unit vector towards the light.
LIGHT = (np.array([-0.26, 0.40, 1.0]) / np.linalg.norm([-0.26, 0.40, 1.0])).astype(np.float32)
CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=np.float32)


@dataclass(frozen=True)
class Solids:
    """M solids, those of one shape next to one another. Numbers are float32.

    Attributes:
        solid: int (M,), BOX, CYLINDER or BALL, in this order.
        picture: int (M,), in which they are.
        centre: (3, M), in metres.
        half: (3, M), half extents in metres.
        cosine: (M,), of the yaw.
        sine: (M,), of the yaw.
        colour: (3, M), 0 to 255.
        inset: (M,), brightness of the top inside of the rim; 1 where there is no rim.
    """

    solid: Ints
    picture: Ints
    centre: Floats
    half: Floats
    cosine: Floats
    sine: Floats
    colour: Floats
    inset: Floats

    @classmethod
    def of(cls, bodies: Bodies, pictures: Ints) -> Solids:
        """All bodies of the environments that are seen in ``pictures``."""
        # Stable: in the order of environments and slots within each shape.
        order = bodies.solid.reshape(-1).argsort(kind="stable")
        env = order // bodies.solid.shape[1]

        def chosen(part: Floats) -> Floats:
            flat = part.reshape(len(order), -1).astype(np.float32)
            return flat.T.take(order, axis=1)

        (cosine,), (sine,), (inset,) = chosen(np.cos(bodies.yaw)), chosen(np.sin(bodies.yaw)), chosen(bodies.inset)
        return cls(
            bodies.solid.reshape(-1)[order],
            pictures[env],
            chosen(bodies.position),
            chosen(bodies.half),
            cosine,
            sine,
            chosen(bodies.colour),
            inset,
        )

    def __getitem__(self, chosen: slice) -> Solids:
        """Some of them."""
        return Solids(
            self.solid[chosen],
            self.picture[chosen],
            self.centre[:, chosen],
            self.half[:, chosen],
            self.cosine[chosen],
            self.sine[chosen],
            self.colour[:, chosen],
            self.inset[chosen],
        )

    def shapes(self) -> list[slice]:
        """Where the solids of each shape are that is there."""
        ends = np.searchsorted(self.solid, [BOX, CYLINDER, BALL], side="right").tolist()
        return [slice(start, end) for start, end in itertools.pairwise([0, *ends]) if start < end]

    @property
    def shape(self) -> int:
        """BOX, CYLINDER or BALL, where all are of one shape."""
        return int(self.solid[0])

    def into_frame(self, vector: Vector) -> Floats:
        """Vectors of the world (3, M), or one for all, in the frame of each solid."""
        x, y, z = vector
        turned = np.empty_like(self.centre)
        turned[0] = self.cosine * x + self.sine * y
        turned[1] = self.cosine * y - self.sine * x
        turned[2] = z
        return turned

    @property
    def corners(self) -> Floats:
        """(3, M, 8), of the boxes around the solids, in metres."""
        x, y, z = CORNERS.T[:, None] * self.half[:, :, None]
        cosine, sine = self.cosine[:, None], self.sine[:, None]
        corners: Floats = np.stack([cosine * x - sine * y, sine * x + cosine * y, z]) + self.centre[:, :, None]
        return corners


def shadow_of(points: Floats) -> Floats:
    """Points (3, ...) of the world -> where their shadows fall on the plane z = 0."""
    light = LIGHT.reshape(3, *[1] * (points.ndim - 1))
    shadow: Floats = points - light * (points[2] / LIGHT[2])
    return shadow
