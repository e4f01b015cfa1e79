"""Where a ray enters and leaves a solid that is centred on the origin. All functions broadcast, in float32."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints
from feat2go.envs.tabletop.kinds import BALL, BOX

# x, y and z.
Vector = tuple[Floats, ...] | Floats


def intersect(solid: int, origin: Vector, direction: Vector, half: Vector) -> tuple[Floats, Floats]:
    """The interval of t in which origin + t * direction is inside; near > far, or NaN, where the ray misses.

    Args:
        solid: BOX, CYLINDER or BALL.
        origin: in the solid's frame.
        direction: likewise; need not have unit length.
        half: half extents in metres.
    """
    if solid == BALL:
        return _round_interval(origin, direction, half[0])
    vertical = _slab(origin[2], direction[2], half[2])
    if solid == BOX:
        side = _overlap(_slab(origin[0], direction[0], half[0]), _slab(origin[1], direction[1], half[1]))
    else:
        side = _round_interval(origin[:2], direction[:2], half[0])
    return _overlap(side, vertical)


def facing(solid: int, point: Vector, half: Vector, light: Vector) -> Floats:
    """Cosine between the outward normal at a point of a CYLINDER or BALL and the unit vector towards the light."""
    x, y, z = point
    if solid == BALL:
        return (x * light[0] + y * light[1] + z * light[2]) / half[0]
    # How close the point is to a cap and to the side, 1 on it.
    radius = np.sqrt(x * x + y * y)
    is_cap = np.abs(z) / half[2] > radius / half[0]
    side = (x * light[0] + y * light[1]) / np.maximum(radius, 1e-6)
    return np.where(is_cap, np.sign(z) * light[2], side)


def face_of_box(point: Vector, half: Vector, rim_from: float) -> Ints:
    """Number of the face on which a point of a BOX is: -x, +x, -y, +y, -z, +z, then the inner parts of -z and +z.

    Args:
        point: in the box's frame.
        half: half extents in metres.
        rim_from: where the inner parts end, as a fraction of the half extents.
    """
    x, y, z = point
    # How close the point is to each face, 1 on it.
    on_x, on_y, on_z = (np.abs(part) / size for part, size in zip(point, half, strict=True))
    from_centre = np.maximum(on_x, on_y)
    is_z = on_z > from_centre
    is_x = (on_x > on_y) & ~is_z
    is_y = ~(is_x | is_z)
    is_positive = (is_x & (x > 0)) | (is_y & (y > 0)) | (is_z & (z > 0))
    pair = is_y + 2 * is_z + (is_z & (from_centre < rim_from))
    face: Ints = 2 * pair + is_positive
    return face


def _slab(origin: Floats, direction: Floats, half: Floats) -> tuple[Floats, Floats]:
    # A ray along the slab divides by zero: infinities, or NaN on its surface.
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = 1.0 / direction
        near = origin * reach
        np.negative(near, out=near)
        np.abs(reach, out=reach)
        reach *= half
        far = near + reach
        near -= reach
        return near, far


def _round_interval(origin: Vector, direction: Vector, radius: Floats) -> tuple[Floats, Floats]:
    """Of a circle in two dimensions, of a ball in three."""
    a = sum(d * d for d in direction)
    b = sum(o * d for o, d in zip(origin, direction, strict=True))
    c = sum(o * o for o in origin) - radius * radius
    # A miss becomes NaN, which compares as neither near nor far.
    with np.errstate(invalid="ignore"):
        root = np.sqrt(b * b - a * c)
    return (-b - root) / a, (root - b) / a


def _overlap(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Written over the first, which must be as large as both."""
    return np.maximum(first[0], second[0], out=first[0]), np.minimum(first[1], second[1], out=first[1])
