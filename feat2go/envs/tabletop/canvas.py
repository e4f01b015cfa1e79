"""Samples of pixels: their colours and depths, and what a picture makes of them. Legend: S samples per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints, Pixels

# The bit that marks a colour as darkened already.
SHADED = np.uint32(1 << 24)


@dataclass(frozen=True)
class Canvas:
    """Samples of Q pixels, in C order: they are written through flat views.

    Attributes:
        colour: uint32 (Q, S): red, green, blue and whether it is in the shade, so that one write moves a pixel.
        depth: float32 (Q, S), metres along the optical axis.
    """

    colour: Ints
    depth: Floats

    @classmethod
    def empty(cls, num_pixels: int, num_samples: int) -> Canvas:
        """To be written."""
        shape = (num_pixels, num_samples)
        return cls(np.empty(shape, dtype=np.uint32), np.empty(shape, dtype=np.float32))

    def take(self, pixels: Ints) -> Canvas:
        """A copy of some pixels."""
        return Canvas(self.colour.take(pixels, axis=0), self.depth.take(pixels, axis=0))

    def lay(self, picture: Canvas, rows: Ints) -> None:
        """Overwrite whole pictures, which lie one after another, each with the same."""
        for mine, new in ((self.colour, picture.colour), (self.depth, picture.depth)):
            mine.reshape(-1, *new.shape)[rows] = new

    def put(self, pixels: Ints, other: Canvas) -> None:
        """Overwrite some pixels."""
        self.colour[pixels] = other.colour
        self.depth[pixels] = other.depth


def pack(red: Floats, green: Floats, blue: Floats) -> Ints:
    """Channels from 0 to 255 -> uint32 of the same shape."""
    return red.astype(np.uint32) | green.astype(np.uint32) << 8 | blue.astype(np.uint32) << 16


def in_shade(colour: Ints) -> Ints:
    """Packed colours at 9/16 of their brightness, and marked, so that a second shadow changes nothing."""
    darker = ((colour >> 1) & 0x7F7F7F) + ((colour >> 4) & 0x0F0F0F)
    return np.where(colour < SHADED, darker | SHADED, colour)


def average(colour: Ints) -> Pixels:
    """Packed colours uint32 (Q, S) -> uint8 (Q, 3): the mean over the samples of each pixel."""
    samples = np.ascontiguousarray(colour.T).view(np.uint8)
    total = samples[0].astype(np.uint16)
    for sample in samples[1:]:
        total += sample
    mean = (total // len(samples)).astype(np.uint8)
    pixels = np.empty((len(colour), 3), dtype=np.uint8)
    for channel in range(3):
        pixels[:, channel] = mean[channel::4]
    return pixels
