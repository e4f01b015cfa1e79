"""Encoders that have learned nothing: what a pretrained one must beat."""

from __future__ import annotations

from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from feat2go.core.seeding import generator
from feat2go.encoders.frozen import FrozenEncoder
from feat2go.encoders.preprocess import Preprocess, patch_grid


class RandomPatches(FrozenEncoder):
    """Each patch through one random linear map.

    Args:
        width: D.
        image_size: side that frames are resized to, a multiple of ``patch_size``.
        patch_size: side of a patch in pixels.
        seed: of the map; the same seed gives the same map everywhere.
        batch_size: frames at once.

    Raises:
        ValueError: for an image size that is not a multiple of the patch size.
    """

    def __init__(
        self, width: int = 384, image_size: int = 224, patch_size: int = 14, seed: int = 0, batch_size: int = 32
    ) -> None:
        num_patches = patch_grid(image_size, patch_size) ** 2
        projection = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        noise = torch.randn(projection.weight.shape, generator=generator("random patches", seed))
        projection.weight = nn.Parameter(noise / noise[0].numel() ** 0.5)
        preprocess = Preprocess(image_size)
        super().__init__(
            _Projection(preprocess, projection), (num_patches, width), {"preprocess": asdict(preprocess)}, batch_size
        )


class PixelPatches(FrozenEncoder):
    """The pixels of each patch, in [0, 1], as they are: D = 3 * patch_size^2.

    Args:
        image_size: side that frames are resized to, a multiple of ``patch_size``.
        patch_size: side of a patch in pixels after resizing.
        batch_size: frames at once.

    Raises:
        ValueError: for an image size that is not a multiple of the patch size.
    """

    def __init__(self, image_size: int = 64, patch_size: int = 4, batch_size: int = 32) -> None:
        num_patches = patch_grid(image_size, patch_size) ** 2
        preprocess = Preprocess(image_size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        settings = {"preprocess": asdict(preprocess), "patch_size": patch_size}
        super().__init__(_Pixels(preprocess, patch_size), (num_patches, 3 * patch_size**2), settings, batch_size)


class _Projection(nn.Module):
    def __init__(self, preprocess: Preprocess, projection: nn.Conv2d) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.projection = projection

    def forward(self, frames: Tensor) -> Tensor:
        grid: Tensor = self.projection(self.preprocess(frames))
        return grid.flatten(2).transpose(1, 2)


class _Pixels(nn.Module):
    def __init__(self, preprocess: Preprocess, patch_size: int) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.patch_size = patch_size

    def forward(self, frames: Tensor) -> Tensor:
        return F.pixel_unshuffle(self.preprocess(frames), self.patch_size).flatten(2).transpose(1, 2)
