"""Footprints seen from above, and turning. All functions broadcast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Bools, Floats
from feat2go.envs.tabletop.kinds import BOX
from feat2go.envs.tabletop.world import Bodies


def rotate(x: Floats, y: Floats, angle: Floats) -> tuple[Floats, Floats]:
    """Turn (x, y) by ``angle`` radians, counter-clockwise."""
    c, s = np.cos(angle), np.sin(angle)
    return c * x - s * y, s * x + c * y


def width_along(bodies: Bodies, angle: Floats) -> Floats:
    """Width in metres of footprints along the direction ``angle``, in radians in the world."""
    turn = angle - bodies.yaw
    box = bodies.half[..., 0] * np.abs(np.cos(turn)) + bodies.half[..., 1] * np.abs(np.sin(turn))
    return 2.0 * np.where(bodies.solid == BOX, box, bodies.half[..., 0])


@dataclass(frozen=True)
class Footprints:
    """Boxes and discs on the plane, of any shape (...). They follow their bodies as these move, but not as they turn.

    Attributes:
        x, y: of the centres, in metres: views of the bodies' positions.
        half_u, half_v: half extents in metres; the radius of discs.
        cosine, sine: of the yaw.
        is_box: False for discs.
        has_boxes, has_discs: whether any of them is one.
    """

    x: Floats
    y: Floats
    half_u: Floats
    half_v: Floats
    cosine: Floats
    sine: Floats
    is_box: Bools
    has_boxes: bool
    has_discs: bool

    @classmethod
    def of(cls, bodies: Bodies) -> Footprints:
        """Of upright bodies."""
        x, y, half_u, half_v = *(bodies.position[..., i] for i in (0, 1)), *(bodies.half[..., i] for i in (0, 1))
        is_box = bodies.solid == BOX
        cosine, sine = np.cos(bodies.yaw), np.sin(bodies.yaw)
        return cls(x, y, half_u, half_v, cosine, sine, is_box, bool(is_box.any()), not is_box.all())

    def into_frame(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Points of the world, in metres -> (u, v), as seen from the centres along the sides."""
        x, y = x - self.x, y - self.y
        return self.cosine * x + self.sine * y, self.cosine * y - self.sine * x

    def contain(self, u: Floats, v: Floats) -> Bools:
        """Whether points are inside. This and what follows is of points of :meth:`into_frame`."""
        if not self.has_boxes:
            return _length(u, v) < self.half_u
        box: Bools = (np.abs(u) < self.half_u) & (np.abs(v) < self.half_v)
        return np.where(self.is_box, box, _length(u, v) < self.half_u) if self.has_discs else box

    def distance(self, u: Floats, v: Floats) -> Floats:
        """Of points from the edge, in metres, negative inside."""
        if not self.has_boxes:
            return _length(u, v) - self.half_u
        beyond_u, beyond_v = np.abs(u) - self.half_u, np.abs(v) - self.half_v
        inside = np.maximum(beyond_u, beyond_v)
        outside = _length(np.maximum(beyond_u, 0.0), np.maximum(beyond_v, 0.0))
        box = np.where(inside > 0.0, outside, inside)
        return np.where(self.is_box, box, _length(u, v) - self.half_u) if self.has_discs else box

    def outward(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """The unit vector (x, y) of the world that leads away from the edge."""
        out_u, out_v = _out_of_disc(u, v)
        if self.has_boxes:
            box_u, box_v = self._out_of_box(u, v)
            out_u, out_v = np.where(self.is_box, box_u, out_u), np.where(self.is_box, box_v, out_v)
        return self.cosine * out_u - self.sine * out_v, self.sine * out_u + self.cosine * out_v

    def _out_of_box(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        beyond_u, beyond_v = np.abs(u) - self.half_u, np.abs(v) - self.half_v
        corner_u, corner_v = np.maximum(beyond_u, 0.0), np.maximum(beyond_v, 0.0)
        is_outside = np.maximum(beyond_u, beyond_v) > 0.0
        scale = 1.0 / np.where(is_outside, _length(corner_u, corner_v), 1.0)
        # Inside, the nearest side is the one that is least far away.
        side_u = beyond_u > beyond_v
        out_u = np.where(is_outside, corner_u * scale, side_u) * np.where(u < 0.0, -1.0, 1.0)
        out_v = np.where(is_outside, corner_v * scale, ~side_u) * np.where(v < 0.0, -1.0, 1.0)
        return out_u, out_v


def _out_of_disc(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    length = _length(u, v)
    centred = length < 1e-9
    scale = 1.0 / np.where(centred, 1.0, length)
    return np.where(centred, 1.0, u * scale), np.where(centred, 0.0, v * scale)


def _length(u: Floats, v: Floats) -> Floats:
    length: Floats = np.sqrt(u * u + v * v)
    return length
