"""The fixed pinhole camera. Legend: S samples per pixel, H W pixels, M solids, P pixels around them."""

from __future__ import annotations

import math

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints

POSITION = np.array([-0.80, 0.0, 0.88], dtype=np.float32)
TARGET = np.array([0.01, 0.0, 0.03], dtype=np.float32)
FIELD_OF_VIEW_RAD = 0.50

# Four samples per pixel on a rotated grid, as offsets (right, down) from its centre.
SAMPLES = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]], dtype=np.float32)


class Camera:
    """The rays of a square picture. All of them meet the plane of the table.

    Args:
        image_size: H = W, in pixels.

    Attributes:
        num_pixels: H*W.
        direction: float32 (3, S, H*W), of the ray through each sample, one metre long along the optical axis.
        ground_depth: float32 (S, H*W), at which each ray meets the plane z = 0, in metres along the optical axis.
        ground: float32 (2, S, H*W), the x and y of that point.
    """

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        self.num_pixels = image_size**2
        forward = TARGET - POSITION
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, np.array([0.0, 0.0, 1.0], dtype=np.float32))
        right = right / np.linalg.norm(right)
        self._axes = np.stack([forward, right, np.cross(right, forward)])
        self._focal = image_size / (2.0 * math.tan(FIELD_OF_VIEW_RAD / 2.0))

        row, column = np.divmod(np.arange(self.num_pixels), image_size)
        middle = (image_size - 1) / 2
        rightward = (column - middle + SAMPLES[:, :1]) / self._focal
        upward = (middle - row - SAMPLES[:, 1:]) / self._focal
        x, y, z = (f + rightward * r + upward * u for f, r, u in self._axes.T)
        self.direction = np.stack([x, y, z]).astype(np.float32)
        self.ground_depth = -POSITION[2] / self.direction[2]
        self.ground = POSITION[:2, None, None] + self.ground_depth * self.direction[:2]

    def pixels_around(self, points: Floats) -> tuple[Ints, Ints]:
        """All pixels of the rectangles in which convex sets of points are seen, one rectangle after another.

        Args:
            points: float32 (3, Q, M), in metres, in front of the camera.

        Returns:
            How many pixels each of the M sets has, int (M,), and which of the H*W they are, int (P,).
        """
        offset = points.reshape(3, -1) - POSITION[:, None]
        depth, right, up = (self._axes @ offset).reshape(points.shape)
        left, width = self._span(self.image_size / 2 + self._focal * right / depth)
        top, height = self._span(self.image_size / 2 - self._focal * up / depth)
        row = _runs(top, height)
        return width * height, _runs(row * self.image_size + left.repeat(height), width.repeat(height))

    def _span(self, pixels: Floats) -> tuple[Ints, Ints]:
        """(Q, M) -> first pixel and number of pixels of each set, inside of the picture."""
        # Samples lie well inside of their pixel, so rounding errors at a border don't matter.
        ends = np.floor([pixels.min(axis=0), pixels.max(axis=0) + 1.0])
        ends = np.minimum(np.maximum(ends, 0.0), self.image_size).astype(np.int64)
        return ends[0], ends[1] - ends[0]


def _runs(first: Ints, lengths: Ints) -> Ints:
    """Numbers that count up from each first one: from (5, 8), of lengths (2, 3) -> (5, 6, 8, 9, 10)."""
    end = lengths.cumsum()
    runs: Ints = (first + lengths - end).repeat(lengths)
    runs += np.arange(len(runs))
    return runs
