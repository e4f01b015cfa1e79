"""What happens to a rendered picture: the table's photo behind robot and objects, and a texture over them.

Definitions are RL4VLA's. A texture for the robot and objects is resized to their bounding box; one for the whole
picture has twice the picture's size and is cut out at the centre of that box, so that it moves as they do.
"""

from __future__ import annotations

import numpy as np
import torch

from feat2go.envs.put_on.settings import Area


def compose(
    rendered: np.ndarray,
    foreground: np.ndarray,
    table: np.ndarray,
    texture: np.ndarray | None = None,
    area: Area = "whole picture",
    strength: float = 0.0,
) -> np.ndarray:
    """One picture as a policy sees it.

    Args:
        rendered: uint8 (H, W, 3).
        foreground: bool (H, W): robot and objects.
        table: uint8 (H, W, 3), shown everywhere else.
        texture: uint8, any height and width, 3 channels; None for none.
        area: where the texture is blended in.
        strength: its weight, in [0, 1].

    Returns:
        uint8 (H, W, 3).
    """
    composed = np.where(foreground[..., None], rendered, table)
    if texture is None or strength == 0:
        return composed
    top, bottom, left, right = _box(foreground)
    if area == "whole picture":
        laid = _cut_at((top + bottom) // 2, (left + right) // 2, texture, foreground.shape)
        return _blend(composed, laid, strength)
    laid = composed.copy()
    laid[top : bottom + 1, left : right + 1] = resized(texture, (bottom - top + 1, right - left + 1))
    return np.where(foreground[..., None], _blend(composed, laid, strength), composed)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, 3) to another height and width, smoothly."""
    channels_first = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    new = torch.nn.functional.interpolate(channels_first, size=size, mode="bilinear", antialias=True)
    smooth: np.ndarray = new[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return smooth


def _box(foreground: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column; the top left pixel where there is nothing."""
    rows, columns = np.flatnonzero(foreground.any(axis=1)), np.flatnonzero(foreground.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _cut_at(row: int, column: int, texture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    height, width = size
    row, column = min(max(row, 1), height - 1), min(max(column, 1), width - 1)
    return resized(texture, (2 * height, 2 * width))[row : row + height, column : column + width]


def _blend(picture: np.ndarray, laid: np.ndarray, strength: float) -> np.ndarray:
    return (picture * (1 - strength) + laid * strength).round().clip(0, 255).astype(np.uint8)
