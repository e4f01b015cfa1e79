"""The fixed pinhole camera. Legend: S samples per pixel, M solids, h w the pixels of a window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints

POSITION = np.array([-0.80, 0.0, 0.88], dtype=np.float32)
TARGET = np.array([0.01, 0.0, 0.03], dtype=np.float32)
FIELD_OF_VIEW_RAD = 0.50

# Four samples per pixel on a rotated grid, as offsets (right, down) from its centre.
SAMPLES = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]], dtype=np.float32)


@dataclass(frozen=True)
class Window:
    """The same number of pixels around each of M solids.

    Attributes:
        left: int (M,), first column. top: int (M,), first row.
        width: w, in pixels. height: h, in pixels.
        right_slope: float32 (S, M, 1, w), how far each ray leans to the camera's right, per metre of depth.
        up_slope: float32 (S, M, h, 1), likewise upwards.
    """

    left: Ints
    top: Ints
    width: int
    height: int
    right_slope: Floats
    up_slope: Floats


class Camera:
    """Rays of a square picture. A ray is POSITION + depth * (forward + right_slope * right + up_slope * up).

    Args:
        image_size: side in pixels.
    """

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        forward = TARGET - POSITION
        self.forward = forward / np.linalg.norm(forward)
        right = np.cross(self.forward, np.array([0.0, 0.0, 1.0], dtype=np.float32))
        self.right = right / np.linalg.norm(right)
        self.up = np.cross(self.right, self.forward)
        self.focal = image_size / (2.0 * math.tan(FIELD_OF_VIEW_RAD / 2.0))
        centres = np.arange(image_size, dtype=np.float32) + np.float32(0.5 - image_size / 2.0)
        self._right_slopes = (centres + SAMPLES[:, :1]) / self.focal
        self._up_slopes = -(centres + SAMPLES[:, 1:]) / self.focal

    def whole_picture(self) -> Window:
        """One window that is the picture."""
        corner = np.zeros(1, dtype=np.int64)
        return self._window(corner, corner, self.image_size, self.image_size)

    def window(self, points: Floats) -> Window:
        """Windows that contain all that is seen of convex sets of points.

        Args:
            points: (M, Q, 3), in metres, in front of the camera.
        """
        offset = points - POSITION
        depth = offset @ self.forward
        columns = self.image_size / 2 + self.focal * (offset @ self.right) / depth
        rows = self.image_size / 2 - self.focal * (offset @ self.up) / depth
        left, width = self._span(columns)
        top, height = self._span(rows)
        return self._window(left, top, width, height)

    def _span(self, pixels: Floats) -> tuple[Ints, int]:
        """First pixel of each row of (M, Q), moved inside of the picture, and how many pixels are enough for all."""
        # Samples lie well inside of their pixel, so rounding errors at a border don't matter.
        first = np.floor(pixels.min(axis=1)).astype(np.int64)
        size = min(int((np.floor(pixels.max(axis=1)) - first).max()) + 1, self.image_size)
        return np.clip(first, 0, self.image_size - size), size

    def _window(self, left: Ints, top: Ints, width: int, height: int) -> Window:
        columns, rows = left[:, None] + np.arange(width), top[:, None] + np.arange(height)
        return Window(
            left, top, width, height, self._right_slopes[:, columns][:, :, None], self._up_slopes[:, rows][..., None]
        )
