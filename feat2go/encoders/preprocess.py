"""From uint8 frames to the input of a vision network, in torch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def check_frames(frames: Tensor) -> None:
    """Refuse what is not a non-empty uint8 (B, H, W, 3) tensor.

    Raises:
        ValueError: with what was given and what was expected.
    """
    expected = "expected a non-empty uint8 tensor of shape (B, H, W, 3)"
    if not isinstance(frames, Tensor):
        raise ValueError(f"{expected}, got {type(frames).__name__}")
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.numel():
        raise ValueError(f"{expected}, got {frames.dtype} of shape {tuple(frames.shape)}")


def resize(frames: Tensor, size: int, mode: Literal["bilinear", "bicubic"] = "bicubic") -> Tensor:
    """Resize to a square, antialiased. Other proportions are squeezed: nothing is cropped away.

    Args:
        frames: uint8 (B, H, W, 3).
        size: side in pixels.
        mode: interpolation. Bicubic overshoot is clipped, as image libraries do.

    Returns:
        float32 (B, 3, size, size) in [0, 1].
    """
    pixels = frames.permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-2:] == (size, size):
        return pixels
    return F.interpolate(pixels, size=(size, size), mode=mode, antialias=True, align_corners=False).clamp(0, 1)


def normalise(pixels: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """Channel-wise ``(pixels - mean) / std`` of (B, 3, H, W)."""
    return (pixels - pixels.new_tensor(mean)[:, None, None]) / pixels.new_tensor(std)[:, None, None]
