"""Drawing solids and their shadows into sampled pictures, by casting rays through the pixels around each.

Legend: S samples per pixel, M solids, E pictures of H W pixels, P pixels around all solids. Float32 throughout.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints, Pixels
from feat2go.envs.tabletop.camera import POSITION, Camera
from feat2go.envs.tabletop.kinds import BOX
from feat2go.envs.tabletop.raycast import Vector, facing, intersect

# Unit vector towards the light.
LIGHT = (np.array([-0.26, 0.40, 1.0]) / np.linalg.norm([-0.26, 0.40, 1.0])).astype(np.float32)
AMBIENT = 0.45
# The inner part of a receptacle's top ends here, as a fraction of its size.
RIM_FROM = 0.84
# The bit that marks a colour as darkened already.
SHADED = np.uint32(1 << 24)
CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=np.float32)


@dataclass(frozen=True)
class Solids:
    """M solids of one shape, in any pictures.

    Attributes:
        solid: BOX, CYLINDER or BALL.
        picture: int (M,), row of the canvas.
        centre: (3, M), in metres.
        half: (3, M), half extents in metres.
        cosine: (M,), of the yaw.
        sine: (M,), of the yaw.
        colour: (3, M), 0 to 255.
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

    def into_frame(self, vector: Vector, which: Ints) -> Vector:
        """Vectors of the world, each part (..., P), in the frames of solids number ``which`` (P,)."""
        cosine, sine = self.cosine[which], self.sine[which]
        x, y, z = vector
        return cosine * x + sine * y, cosine * y - sine * x, z

    @property
    def corners(self) -> Floats:
        """(M, 8, 3), of the boxes around the solids, in metres."""
        x, y, z = CORNERS.T[:, None] * self.half[:, :, None]
        cosine, sine = self.cosine[:, None], self.sine[:, None]
        turned = np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1)
        corners: Floats = turned + self.centre.T[:, None]
        return corners


@dataclass
class Canvas:
    """Samples of E pictures, in C order: they are written through flat views.

    Attributes:
        colour: uint32 (S, E, H, W): red, green, blue and whether it is in the shade, so that one write moves a pixel.
        depth: float32 (S, E, H, W), metres along the optical axis.
    """

    colour: Ints
    depth: Floats

    def take(self, rows: Ints, out: Canvas | None = None) -> Canvas:
        """A contiguous copy of some pictures, in ``out`` if it is of as many."""
        if out is None or out.colour.shape[1] != len(rows):
            return Canvas(self.colour.take(rows, axis=1), self.depth.take(rows, axis=1))
        # All rows exist; the default mode would write to another array first.
        self.colour.take(rows, axis=1, out=out.colour, mode="clip")
        self.depth.take(rows, axis=1, out=out.depth, mode="clip")
        return out

    def index(self, picture: Ints, pixel: Ints) -> Ints:
        """Where the samples of pixels (P,) of pictures (P,) lie in the flat canvas, int (S, P)."""
        num_samples, num_pictures, height, width = self.colour.shape
        first = np.arange(num_samples) * (num_pictures * height * width)
        index: Ints = first[:, None] + (picture * (height * width) + pixel)
        return index


def draw(canvas: Canvas, camera: Camera, solids: Solids) -> None:
    """Draw solids where nothing that is already there, and none of them, hides them."""
    which, pixel = camera.pixels_around(solids.corners)
    origin = solids.into_frame(tuple(POSITION[:, None] - solids.centre[:, which]), which)
    direction = solids.into_frame(tuple(camera.direction.take(pixel, axis=2)), which)
    near, far = intersect(solids.solid, origin, direction, tuple(solids.half[:, which]))
    hits = np.flatnonzero(near < far)
    depth = near.reshape(-1)[hits]
    samples = canvas.index(solids.picture[which], pixel).reshape(-1)[hits]
    nearest = canvas.depth.reshape(-1)
    np.minimum.at(nearest, samples, depth)
    is_visible = depth == nearest[samples]
    hits, depth, samples = hits[is_visible], depth[is_visible], samples[is_visible]
    ray = hits % len(which)
    point = tuple(o[ray] + depth * d.reshape(-1)[hits] for o, d in zip(origin, direction, strict=True))
    canvas.colour.reshape(-1)[samples] = _shade(solids, which[ray], point)


def draw_shadows(canvas: Canvas, camera: Camera, solids: Solids) -> None:
    """Darken the ground, the plane z = 0, where solids keep the light away. To be done before they are drawn."""
    corners = solids.corners
    which, pixel = camera.pixels_around(corners - LIGHT * (corners[..., 2:] / LIGHT[2]))
    x, y = camera.ground.take(pixel, axis=2)
    centre_x, centre_y, centre_z = solids.centre[:, which]
    origin = solids.into_frame((x - centre_x, y - centre_y, -centre_z), which)
    light = solids.into_frame(tuple(LIGHT), which)
    near, far = intersect(solids.solid, origin, light, tuple(solids.half[:, which]))
    hits = np.flatnonzero(near < far)
    samples = canvas.index(solids.picture[which], pixel).reshape(-1)[hits]
    colour = canvas.colour.reshape(-1)
    colour[samples] = in_shade(colour[samples])


def pack(red: Floats, green: Floats, blue: Floats) -> Ints:
    """Channels from 0 to 255 -> uint32 of the same shape."""
    return red.astype(np.uint32) | green.astype(np.uint32) << 8 | blue.astype(np.uint32) << 16


def in_shade(colour: Ints) -> Ints:
    """Packed colours at 9/16 of their brightness, and marked, so that a second shadow changes nothing."""
    darker = ((colour >> 1) & 0x7F7F7F) + ((colour >> 4) & 0x0F0F0F)
    return np.where(colour < SHADED, darker | SHADED, colour)


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


def _shade(solids: Solids, which: Ints, point: Vector) -> Ints:
    """uint32: the colours of points on solids number ``which``."""
    half = tuple(solids.half[:, which])
    light = solids.into_frame(tuple(LIGHT), which)
    brightness = AMBIENT + (1.0 - AMBIENT) * np.maximum(facing(solids.solid, point, half, light), 0.0)
    if (solids.inset < 1.0).any():
        x, y, z = (np.abs(part) / size for part, size in zip(point, half, strict=True))
        from_centre = np.maximum(x, y) if solids.solid == BOX else np.sqrt(x * x + y * y)
        is_inner = (z > from_centre) & (from_centre < RIM_FROM)
        brightness = np.where(is_inner, brightness * solids.inset[which], brightness)
    return pack(*(brightness * channel[which] for channel in solids.colour))
