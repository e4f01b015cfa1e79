"""The mean colour of each cell of a grid."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from feat2go.core import FeatureTrack


class PatchColours:
    """The mean colour of each cell of a grid: P = grid^2, D = 3.

    Args:
        grid: cells per side.
    """

    def __init__(self, grid: int = 4) -> None:
        if grid < 1:
            raise ValueError(f"grid is at least 1; got {grid}")
        self.grid = grid

    @property
    def fingerprint(self) -> str:
        """Names everything that decides the features."""
        return hashlib.sha256(f"feat2go_example.PatchColours grid={self.grid}".encode()).hexdigest()

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(P, D)."""
        return self.grid**2, 3

    def encode_images(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3), each on its own -> float32 (B, P, 3)."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        return adaptive_avg_pool2d(pixels, self.grid).flatten(2).transpose(1, 2)

    def encode_episode(self, frames: Tensor) -> FeatureTrack:
        """uint8 (T, H, W, 3), consecutive -> one row per frame, which has seen that frame and nothing later."""
        return FeatureTrack(self.encode_images(frames).half(), torch.arange(len(frames)), self.fingerprint)
