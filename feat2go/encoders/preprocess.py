"""From uint8 frames to the input of a vision network, in torch alone."""

from __future__ import annotations

from dataclasses import dataclass
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


def patch_grid(image_size: int, patch_size: int) -> int:
    """Patches per side.

    Raises:
        ValueError: unless it is a whole number of at least one.
    """
    if patch_size < 1 or image_size < patch_size or image_size % patch_size:
        raise ValueError(f"image_size must be a multiple of the patch size {patch_size}, got {image_size}")
    return image_size // patch_size


@dataclass(frozen=True)
class Preprocess:
    """Resize to a square, antialiased, and normalise. Other proportions are squeezed: nothing is cropped away.

    Attributes:
        image_size: side in pixels.
        mode: interpolation. Bicubic overshoot is clipped, as image libraries do.
        mean, std: per channel, of pixels in [0, 1].
    """

    image_size: int
    mode: Literal["bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __call__(self, frames: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, 3, image_size, image_size)."""
        pixels = frames.permute(0, 3, 1, 2).float() / 255
        size = (self.image_size, self.image_size)
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size=size, mode=self.mode, antialias=True, align_corners=False).clamp(0, 1)
        return (pixels - pixels.new_tensor(self.mean)[:, None, None]) / pixels.new_tensor(self.std)[:, None, None]
