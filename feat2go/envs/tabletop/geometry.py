"""Footprints seen from above, and turning. All functions broadcast."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Floats
from feat2go.envs.tabletop.kinds import BOX
from feat2go.envs.tabletop.world import Bodies


def rotate(x: Floats, y: Floats, angle: Floats) -> tuple[Floats, Floats]:
    """Turn (x, y) by ``angle`` radians, counter-clockwise."""
    c, s = np.cos(angle), np.sin(angle)
    return c * x - s * y, s * x + c * y


def footprint_distance(bodies: Bodies, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Signed distance of points from the edges of footprints, and the outward direction there.

    Args:
        bodies: of any leading shape (...).
        x: the points' world coordinates in metres, (...).
        y: likewise.

    Returns:
        Distance in metres, negative inside, and the unit vector (x, y) that leads outward.
    """
    u, v = rotate(x - bodies.position[..., 0], y - bodies.position[..., 1], -bodies.yaw)
    box, box_u, box_v = _box_distance(bodies.half[..., 0], bodies.half[..., 1], u, v)
    disc, disc_u, disc_v = _disc_distance(bodies.half[..., 0], u, v)
    is_box = bodies.solid == BOX
    out_u, out_v = np.where(is_box, box_u, disc_u), np.where(is_box, box_v, disc_v)
    return np.where(is_box, box, disc), *rotate(out_u, out_v, bodies.yaw)


def width_along(bodies: Bodies, angle: Floats) -> Floats:
    """Width in metres of footprints along the direction ``angle``, in radians in the world."""
    turn = angle - bodies.yaw
    box = bodies.half[..., 0] * np.abs(np.cos(turn)) + bodies.half[..., 1] * np.abs(np.sin(turn))
    return 2.0 * np.where(bodies.solid == BOX, box, bodies.half[..., 0])


def _disc_distance(radius: Floats, u: Floats, v: Floats) -> tuple[Floats, Floats, Floats]:
    length = np.sqrt(u * u + v * v)
    centred = length < 1e-9
    scale = 1.0 / np.where(centred, 1.0, length)
    return length - radius, np.where(centred, 1.0, u * scale), np.where(centred, 0.0, v * scale)


def _box_distance(half_u: Floats, half_v: Floats, u: Floats, v: Floats) -> tuple[Floats, Floats, Floats]:
    beyond_u, beyond_v = np.abs(u) - half_u, np.abs(v) - half_v
    inside = np.maximum(beyond_u, beyond_v)
    corner_u, corner_v = np.maximum(beyond_u, 0.0), np.maximum(beyond_v, 0.0)
    outside = np.sqrt(corner_u * corner_u + corner_v * corner_v)
    is_outside = inside > 0.0
    scale = 1.0 / np.where(is_outside, outside, 1.0)
    # Inside, the nearest side is the one that is least far away.
    side_u = beyond_u > beyond_v
    out_u = np.where(is_outside, corner_u * scale, side_u) * np.where(u < 0.0, -1.0, 1.0)
    out_v = np.where(is_outside, corner_v * scale, ~side_u) * np.where(v < 0.0, -1.0, 1.0)
    return np.where(is_outside, outside, inside), out_u, out_v
