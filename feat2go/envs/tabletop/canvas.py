"""Drawing solids and their shadows into sampled pictures, a window of pixels per solid.

Legend: S samples per pixel, M solids, E pictures, H W pixels of a picture, h w pixels of a window. Float32 throughout.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints, Pixels
from feat2go.envs.tabletop.camera import POSITION, Camera, Window
from feat2go.envs.tabletop.kinds import BOX
from feat2go.envs.tabletop.raycast import Vector, facing, intersect

# Unit vector towards the light.
LIGHT = (np.array([-0.26, 0.40, 1.0]) / np.linalg.norm([-0.26, 0.40, 1.0])).astype(np.float32)
AMBIENT = 0.45
# The inner part of a receptacle's top ends here, as a fraction of its size.
RIM_FROM = 0.84
CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=np.float32)


@dataclass(frozen=True)
class Solids:
    """M solids of one shape, no two in the same picture.

    Attributes:
        solid: BOX, CYLINDER or BALL.
        picture: int (M,), row of the canvas.
        centre: (M, 3), in metres.
        half: (M, 3), half extents in metres.
        cosine: (M,), of the yaw.
        sine: (M,), of the yaw.
        colour: (M, 3), 0 to 255.
        inset: (M,), brightness of the top inside of the rim; 1 where there is no rim.
    """

    solid: int
    picture: Ints
    centre: Floats
    half: Floats
    cosine: Floats
    sine: Floats
    colour: Floats
    inset: Floats

    @classmethod
    def of(
        cls,
        solid: int,
        picture: Ints,
        centre: Floats,
        half: Floats,
        yaw: Floats,
        colour: Floats,
        inset: Floats,
    ) -> Solids:
        """From arrays of any number type and a yaw in radians."""
        numbers = (centre, half, np.cos(yaw), np.sin(yaw), colour, inset)
        return cls(solid, picture, *(part.astype(np.float32) for part in numbers))


@dataclass
class Canvas:
    """Samples of E pictures, in C order: they are written through flat views.

    Attributes:
        colour: uint32 (S, E, H, W): red, green, blue and an unused byte, so that one write moves a pixel.
        depth: float32 (S, E, H, W), metres along the optical axis.
    """

    colour: Ints
    depth: Floats

    def take(self, rows: Ints) -> Canvas:
        """A contiguous copy of some pictures."""
        return Canvas(self.colour.take(rows, axis=1), self.depth.take(rows, axis=1))


def draw(canvas: Canvas, camera: Camera, solids: Solids) -> None:
    """Draw solids where nothing that is already there hides them."""
    window = camera.window(_corners(solids))
    origin, direction = _camera_rays(camera, window, solids)
    near, far = intersect(solids.solid, _columns(origin), direction, _columns(solids.half.T))
    hits = np.flatnonzero(near < far)
    depth = near.reshape(-1)[hits]
    pixels = _pixel_index(canvas, solids, window).reshape(-1)[hits]
    is_visible = depth < canvas.depth.reshape(-1)[pixels]
    hits, depth, pixels = hits[is_visible], depth[is_visible], pixels[is_visible]
    which = hits // (window.height * window.width) % len(solids.picture)
    slopes = (
        direction[0].reshape(-1)[hits],
        direction[1].reshape(-1)[hits],
        direction[2].reshape(-1)[hits // window.width],
    )
    point = tuple(o[which] + depth * slope for o, slope in zip(origin, slopes, strict=True))
    canvas.colour.reshape(-1)[pixels] = _shade(solids, which, point)
    canvas.depth.reshape(-1)[pixels] = depth


def draw_shadows(canvas: Canvas, shaded: Ints, camera: Camera, solids: Solids) -> None:
    """Replace the ground by its shaded version where solids keep the light away. To be done before any ``draw``.

    Args:
        canvas: the background.
        shaded: uint32 (S, E, H, W), the background in the shade.
        camera: the camera.
        solids: what casts shadows, on the plane z = 0.
    """
    corners = _corners(solids)
    window = camera.window(corners - LIGHT * (corners[..., 2:] / LIGHT[2]))
    origin, direction = _camera_rays(camera, window, solids)
    depth = -POSITION[2] / direction[2]
    ground = tuple(o + depth * d for o, d in zip(_columns(origin[:2]), direction[:2], strict=True))
    below = _columns([-solids.centre[:, 2]])
    near, far = intersect(solids.solid, (*ground, *below), _columns(_in_frame(LIGHT, solids)), _columns(solids.half.T))
    hits = np.flatnonzero(near < far)
    pixels = _pixel_index(canvas, solids, window).reshape(-1)[hits]
    canvas.colour.reshape(-1)[pixels] = shaded.reshape(-1)[pixels]


def pack(red: Floats, green: Floats, blue: Floats) -> Ints:
    """Channels from 0 to 255 -> uint32 of the same shape."""
    return red.astype(np.uint32) | green.astype(np.uint32) << 8 | blue.astype(np.uint32) << 16


def unpack(colour: Ints) -> tuple[Ints, Ints, Ints]:
    """The inverse of :func:`pack`."""
    return colour & 255, colour >> 8 & 255, colour >> 16 & 255


def average(canvas: Canvas) -> Pixels:
    """The pictures, uint8 (E, H, W, 3): the mean over the samples of each pixel."""
    samples = canvas.colour.view(np.uint8)
    total = samples[0].astype(np.uint16)
    for sample in samples[1:]:
        total += sample
    mean = (total // len(samples)).astype(np.uint8)
    pictures = np.empty((*canvas.colour.shape[1:], 3), dtype=np.uint8)
    for channel in range(3):
        pictures[..., channel] = mean[..., channel::4]
    return pictures


def _camera_rays(camera: Camera, window: Window, solids: Solids) -> tuple[Vector, Vector]:
    """In the solids' frames: the camera's position, each (M,), and the rays, each (S, M, h, w) or (S, M, h, 1)."""
    forward, right, up = (_columns(_in_frame(axis, solids)) for axis in (camera.forward, camera.right, camera.up))
    across = [forward[i] + window.up_slope * up[i] for i in range(3)]
    # The camera is upright: all rays of a row have the same vertical slope.
    direction = (across[0] + window.right_slope * right[0], across[1] + window.right_slope * right[1], across[2])
    return _in_frame((POSITION - solids.centre).T, solids), direction


def _in_frame(vector: Floats, solids: Solids) -> Vector:
    """A vector of the world, (3,) or (3, M), in the solids' frames, each (M,)."""
    x, y, z = vector
    cosine, sine = solids.cosine, solids.sine
    return cosine * x + sine * y, cosine * y - sine * x, np.full_like(cosine, z)


def _columns(parts: Iterable[Floats]) -> tuple[Floats, ...]:
    """Each (M,) -> (M, 1, 1)."""
    return tuple(part[:, None, None] for part in parts)


def _corners(solids: Solids) -> Floats:
    """(M, 8, 3), of the boxes around the solids, in metres."""
    local = CORNERS * solids.half[:, None]
    x, y, z = local[..., 0], local[..., 1], local[..., 2]
    cosine, sine = solids.cosine[:, None], solids.sine[:, None]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1) + solids.centre[:, None]


def _pixel_index(canvas: Canvas, solids: Solids, window: Window) -> Ints:
    """int64 (S, M, h, w), into the flat canvas."""
    num_samples, num_pictures, height, width = canvas.colour.shape
    picture = np.arange(num_samples)[:, None] * num_pictures + solids.picture
    corner = (picture * height + window.top) * width + window.left
    inside = np.arange(window.height)[:, None] * width + np.arange(window.width)
    index: Ints = corner[:, :, None, None] + inside
    return index


def _shade(solids: Solids, which: Ints, point: Vector) -> Ints:
    """uint32: the colours of points on solids number ``which``."""
    half = tuple(size[which] for size in solids.half.T)
    light = tuple(part[which] for part in _in_frame(LIGHT, solids))
    brightness = AMBIENT + (1.0 - AMBIENT) * np.maximum(facing(solids.solid, point, half, light), 0.0)
    if (solids.inset < 1.0).any():
        x, y, z = (np.abs(part) / size for part, size in zip(point, half, strict=True))
        from_centre = np.maximum(x, y) if solids.solid == BOX else np.sqrt(x * x + y * y)
        is_inner = (z > from_centre) & (from_centre < RIM_FROM)
        brightness = np.where(is_inner, brightness * solids.inset[which], brightness)
    return pack(*(brightness * channel[which] for channel in solids.colour.T))
