"""Drawing solids and their shadows into sampled pictures, by casting rays through the pixels around each.

Legend: S samples per pixel, M solids, P pixels around them, those around two solids twice. Float32 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints
from feat2go.envs.tabletop.camera import SAMPLES, Camera
from feat2go.envs.tabletop.canvas import Canvas, in_shade, pack
from feat2go.envs.tabletop.kinds import BOX
from feat2go.envs.tabletop.raycast import Vector, face_of_box, facing, intersect
from feat2go.envs.tabletop.solids import Solids, shadow_of

AMBIENT = 0.45
# The inner part of a receptacle's top ends here, as a fraction of its size.
RIM_FROM = 0.84


@dataclass(frozen=True)
class Surroundings:
    """The pixels around some solids, those of one solid after those of another.

    Attributes:
        num_pixels: int (M,), around each solid.
        pixel: int (P,), of the camera's picture.
        place: int (P,), of the canvas that is drawn on.
    """

    num_pixels: Ints
    pixel: Ints
    place: Ints

    def spread(self, *numbers: Floats) -> Floats:
        """Numbers of each solid, (K, M) each -> all of them for each pixel, (sum of K, P)."""
        return np.concatenate(numbers).repeat(self.num_pixels, axis=1)

    def of(self, chosen: slice) -> Surroundings:
        """Those of some of the solids."""
        num_pixels = self.num_pixels[chosen]
        first = int(self.num_pixels[: chosen.start].sum())
        pixels = slice(first, first + int(num_pixels.sum()))
        return Surroundings(num_pixels, self.pixel[pixels], self.place[pixels])


def draw(background: Canvas, camera: Camera, solids: Solids) -> tuple[Ints, Canvas]:
    """Solids and their shadows in pictures; what is there already may hide them.

    Args:
        background: the pictures, one after another. It stays as it is.
        camera: of all pictures.
        solids: in any of them.

    Returns:
        The pixels of the background that may have changed, int (U,), and what they became.
    """
    num_solids, corners = len(solids.picture), solids.corners
    num_pixels, pixel = camera.pixels_around(np.concatenate([shadow_of(corners), corners], axis=2))
    pictures = np.concatenate([solids.picture, solids.picture]) * camera.num_pixels
    changed, place = _distinct(pictures.repeat(num_pixels) + pixel, len(background.depth))
    canvas = background.take(changed)
    end = int(num_pixels[:num_solids].sum())
    shadows = Surroundings(num_pixels[:num_solids], pixel[:end], place[:end])
    around = Surroundings(num_pixels[num_solids:], pixel[end:], place[end:])
    shapes = [(solids[chosen], chosen) for chosen in solids.shapes()]
    for part, chosen in shapes:
        _draw_shadows(canvas, camera, part, shadows.of(chosen))
    for part, chosen in shapes:
        _draw_solids(canvas, camera, part, around.of(chosen))
    return changed, canvas


def _distinct(pixels: Ints, num_pixels: int) -> tuple[Ints, Ints]:
    """The different ones among numbers below ``num_pixels``, in order, and where among them each of the given is."""
    is_there = np.zeros(num_pixels, dtype=bool)
    is_there[pixels] = True
    distinct = np.flatnonzero(is_there)
    rank = np.empty(num_pixels, dtype=np.int64)
    rank[distinct] = np.arange(len(distinct))
    return distinct, rank[pixels]


def _draw_shadows(canvas: Canvas, camera: Camera, solids: Solids, around: Surroundings) -> None:
    """Darken the ground, the plane z = 0, where solids of one shape keep the light away."""
    cosine, sine, *numbers = around.spread(solids.turn, solids.centre, solids.light, solids.half)
    x, y = (part.take(around.pixel, axis=1) for part in camera.ground)
    x -= numbers[0]
    y -= numbers[1]
    origin = (*_into_frame(cosine, sine, x, y), -numbers[2])
    near, far = intersect(solids.shape, origin, tuple(numbers[3:6]), tuple(numbers[6:]))
    hits = np.flatnonzero(near < far)
    _, samples = _samples(hits, around)
    colour = canvas.colour.reshape(-1)
    colour[samples] = in_shade(colour[samples])


def _draw_solids(canvas: Canvas, camera: Camera, solids: Solids, around: Surroundings) -> None:
    """Draw solids of one shape where nothing that is already there, and none of them, hides them."""
    cosine, sine, *numbers = around.spread(solids.turn, solids.camera, solids.half)
    x, y, z = (part.take(around.pixel, axis=1) for part in camera.direction)
    direction = (*_into_frame(cosine, sine, x, y), z)
    near, far = intersect(solids.shape, tuple(numbers[:3]), direction, tuple(numbers[3:]))
    hits = np.flatnonzero(near < far)
    ray, samples = _samples(hits, around)
    depth = near.reshape(-1)[hits]
    nearest = canvas.depth.reshape(-1)
    np.minimum.at(nearest, samples, depth)
    visible = np.flatnonzero(depth == nearest[samples])
    hits, ray, depth = hits[visible], ray[visible], depth[visible]
    which = np.arange(len(around.num_pixels)).repeat(around.num_pixels)[ray]
    origin = solids.camera.take(which, axis=1)
    point = tuple(o + depth * d.reshape(-1)[hits] for o, d in zip(origin, direction, strict=True))
    canvas.colour.reshape(-1)[samples[visible]] = _shade(solids, which, point)


def _into_frame(cosine: Floats, sine: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Turn vectors (S, P) of the world into the frames of solids. Overwrites them."""
    turned_x = cosine * x
    turned_x += sine * y
    y *= cosine
    x *= sine
    y -= x
    return turned_x, y


def _samples(hits: Ints, around: Surroundings) -> tuple[Ints, Ints]:
    """Flat indices of (S, P) -> which of the P pixels, and where the sample lies in the flat canvas."""
    sample = hits // len(around.pixel)
    ray = hits - sample * len(around.pixel)
    return ray, around.place[ray] * len(SAMPLES) + sample


def _shade(solids: Solids, which: Ints, point: Vector) -> Ints:
    """uint32: the colours of points on solids number ``which``, all of one shape."""
    half = solids.half.take(which, axis=1)
    if solids.shape == BOX:
        face = face_of_box(point, half, RIM_FROM)
        return _colours_of_faces(solids).reshape(-1).take(face * len(solids.solid) + which)
    brightness = _brightness(facing(solids.shape, point, half, solids.light.take(which, axis=1)))
    if (solids.inset < 1.0).any():
        x, y, z = (np.abs(part) / size for part, size in zip(point, half, strict=True))
        from_centre = np.sqrt(x * x + y * y)
        is_inner = (z > from_centre) & (from_centre < RIM_FROM)
        brightness = np.where(is_inner, brightness * solids.inset[which], brightness)
    return pack(*(brightness * channel for channel in solids.colour.take(which, axis=1)))


def _colours_of_faces(boxes: Solids) -> Ints:
    """uint32 (8, M): each face of a box has one colour; in the order of ``face_of_box``."""
    x, y, z = boxes.light
    brightness = _brightness(np.stack([-x, x, -y, y, -z, z, -z, z]))
    brightness[6:] *= boxes.inset
    return pack(*(brightness * channel for channel in boxes.colour))


def _brightness(facing_light: Floats) -> Floats:
    brightness: Floats = AMBIENT + (1.0 - AMBIENT) * np.maximum(facing_light, 0.0)
    return brightness
