"""The picture of the empty table: wood, its edge, and the floor behind."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Floats
from feat2go.envs.tabletop.camera import Camera

WOOD = np.array([190.0, 158.0, 120.0])
FLOOR = np.array([66.0, 72.0, 84.0])
EDGE = np.array([0.27, 0.31])  # Half extents of the table top in metres.
PLANK_M = 0.12


def table_picture(camera: Camera) -> tuple[Floats, Floats]:
    """The empty table.

    Returns:
        Colour (S, H*W, 3), 0 to 255, and depth float32 (S, H*W) in metres.
    """
    depth = camera.ground_depth
    x, y = camera.ground
    on_table = (np.abs(x) < EDGE[0]) & (np.abs(y) < EDGE[1])
    floor = (1.0 - 0.25 * np.clip(depth - 0.8, 0.0, 1.0))[..., None] * FLOOR
    colour = np.where(on_table[..., None], _grain(x, y)[..., None] * WOOD, floor)
    return colour, depth


def _grain(x: Floats, y: Floats) -> Floats:
    """Brightness of planks that run along x, each of its own shade, with soft streaks and dark joints."""
    plank = np.floor(y / PLANK_M)
    shade = 0.03 * np.sin(12.9 * plank)
    fine = 0.018 * np.sin(260.0 * y + 3.0 * np.sin(9.0 * x + plank))
    coarse = 0.012 * np.sin(97.0 * y - 2.0 * np.sin(7.0 * x))
    joint = np.abs(y / PLANK_M - np.round(y / PLANK_M)) * PLANK_M < 0.0012
    brightness: Floats = (1.0 + shade + fine + coarse) * np.where(joint, 0.84, 1.0)
    return brightness
