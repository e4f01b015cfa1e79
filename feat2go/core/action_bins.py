"""Actions in [-1, 1] as one of 256 bins per dimension, as OpenVLA does (arXiv 2406.09246, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

NUM_BINS = 256


def bin_edges() -> Tensor:
    """float64 (256,), evenly spaced from -1 to 1."""
    return torch.linspace(-1.0, 1.0, NUM_BINS, dtype=torch.float64)


def to_bins(actions: Tensor) -> Tensor:
    """Actions, clipped to [-1, 1] -> int64 bins of the same shape, 0 for -1 and 255 for exactly 1."""
    return torch.bucketize(actions.double().clamp(-1, 1), bin_edges().to(actions.device), right=True) - 1


def from_bins(bins: Tensor) -> Tensor:
    """Bins -> float32 midpoints. There are 255 midpoints: the last two bins share one, as in the original."""
    edges = bin_edges().to(bins.device)
    return ((edges[:-1] + edges[1:]) / 2)[bins.clamp(0, NUM_BINS - 2)].float()
