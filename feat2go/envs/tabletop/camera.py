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
        direction: float32 (3, S, H*W), of the ray through each sample, one metre long along the optical axis.
        ground_depth: float32 (S, H*W), at which each ray meets the plane z = 0, in metres along the optical axis.
        ground: float32 (2, S, H*W), the x and y of that point.
    """

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        forward = TARGET - POSITION
        self._forward = forward / np.linalg.norm(forward)
        right = np.cross(self._forward, np.array([0.0, 0.0, 1.0], dtype=np.float32))
        self._right = right / np.linalg.norm(right)
        self._up = np.cross(self._right, self._forward)
        self._focal = image_size / (2.0 * math.tan(FIELD_OF_VIEW_RAD / 2.0))

        row, column = np.divmod(np.arange(image_size**2), image_size)
        middle = (image_size - 1) / 2
        rightward = (column - middle + SAMPLES[:, :1]) / self._focal
        upward = (middle - row - SAMPLES[:, 1:]) / self._focal
        axes = (self._forward, self._right, self._up)
        x, y, z = (f + rightward * r + upward * u for f, r, u in zip(*axes, strict=True))
        self.direction = np.stack([x, y, z]).astype(np.float32)
        self.ground_depth = -POSITION[2] / self.direction[2]
        self.ground = POSITION[:2, None, None] + self.ground_depth * self.direction[:2]

    def pixels_around(self, points: Floats) -> tuple[Ints, Ints]:
        """All pixels of the rectangles in which convex sets of points are seen, one rectangle after another.

        Args:
            points: (M, Q, 3), in metres, in front of the camera.

        Returns:
            Which of the M sets, and which of the H*W pixels; int (P,) both.
        """
        offset = points - POSITION
        depth = offset @ self._forward
        left, width = self._span(self.image_size / 2 + self._focal * (offset @ self._right) / depth)
        top, height = self._span(self.image_size / 2 - self._focal * (offset @ self._up) / depth)
        num_pixels = width * height
        which = np.repeat(np.arange(len(points)), num_pixels)
        place = np.arange(len(which)) - (np.cumsum(num_pixels) - num_pixels)[which]
        row, column = np.divmod(place, width[which])
        return which, (top[which] + row) * self.image_size + left[which] + column

    def _span(self, pixels: Floats) -> tuple[Ints, Ints]:
        """(M, Q) -> first pixel and number of pixels of each row, inside of the picture."""
        # Samples lie well inside of their pixel, so rounding errors at a border don't matter.
        first = np.clip(np.floor(pixels.min(axis=1)), 0, self.image_size).astype(np.int64)
        end = np.clip(np.floor(pixels.max(axis=1)) + 1, 0, self.image_size).astype(np.int64)
        return first, end - first
