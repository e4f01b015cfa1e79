"""Actions in [-1, 1] as one of 256 bins per dimension, as OpenVLA does (arXiv 2406.09246, section 3.2)."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

NUM_BINS = 256


def bin_edges(num_bins: int = NUM_BINS) -> Tensor:
    """float64 (num_bins,), evenly spaced from -1 to 1."""
    # NumPy's, as in the original: PyTorch's differ in the last digit, which moves actions that lie on an edge.
    return torch.from_numpy(np.linspace(-1.0, 1.0, num_bins))


def to_bins(actions: Tensor, num_bins: int = NUM_BINS) -> Tensor:
    """Actions, clipped to [-1, 1] -> int64 bins of the same shape, 0 for -1 and num_bins - 1 for exactly 1."""
    return torch.bucketize(actions.double().clamp(-1, 1), bin_edges(num_bins).to(actions.device), right=True) - 1


def from_bins(bins: Tensor, num_bins: int = NUM_BINS) -> Tensor:
    """Bins -> float32 midpoints. There is one midpoint less: the last two bins share it, as in the original."""
    return _midpoints(num_bins, bins.device)[bins.clamp(0, num_bins - 2)]


# A policy needs them in every step.
@functools.lru_cache(maxsize=16)
def _midpoints(num_bins: int, device: torch.device) -> Tensor:
    edges = bin_edges(num_bins)
    return ((edges[:-1] + edges[1:]) / 2).float().to(device)
