"""Does a curve order the frames of an episode by time?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Values = Tensor | np.ndarray | Sequence[float]


def voc(values: Values) -> float:
    """Value-order correlation: Spearman's rank correlation of values (T,) with time, ties averaged.

    Where there is nothing to rank (one frame, or all values equal) it is 0, as chance would give. A high value is
    necessary for a good progress estimate, not sufficient: elapsed time scores 1. Source: GVL (arXiv 2411.04549).

    Returns:
        In [-1, 1]; 1 for values that rise all the time.

    Raises:
        ValueError: for empty, non-finite or not one-dimensional values.
    """
    checked = _checked(values)
    return rank_correlation(checked, torch.arange(len(checked)))


def rank_correlation(left: Values, right: Values) -> float:
    """Spearman's rank correlation of two series (T,), ties averaged; 0 where either has nothing to rank.

    Returns:
        In [-1, 1].

    Raises:
        ValueError: for empty, non-finite or not one-dimensional values, or series of different lengths.
    """
    a, b = (_average_ranks(_checked(values)) for values in (left, right))
    if len(a) != len(b):
        raise ValueError(f"the series have different lengths: {len(a)} and {len(b)}")
    a, b = a - a.mean(), b - b.mean()
    scale = (a.square().sum() * b.square().sum()).sqrt()
    if scale == 0:
        return 0.0
    return float(((a * b).sum() / scale).clamp(-1.0, 1.0))


def pair_accuracy(values: Values) -> float:
    """Share of the pairs of frames in which the later one has the higher value; a tie counts half.

    Source: the held-out check of RFTF (arXiv 2505.19767). A single frame has no pairs and scores 0.5, as chance would.

    Returns:
        In [0, 1].

    Raises:
        ValueError: for empty, non-finite or not one-dimensional values.
    """
    checked = _checked(values)
    num_frames = len(checked)
    if num_frames == 1:
        return 0.5
    # One row at a time: T^2 pairs of a long episode don't fit into memory.
    wins = sum(float(torch.sign(checked[t + 1 :] - checked[t]).sum()) for t in range(num_frames - 1))
    num_pairs = num_frames * (num_frames - 1) / 2
    return (wins / num_pairs + 1) / 2


def _checked(values: Values) -> Tensor:
    checked = torch.as_tensor(values).detach().cpu().double()
    if checked.ndim != 1 or len(checked) == 0:
        raise ValueError(f"values must have the shape (T,) with T >= 1; got {tuple(checked.shape)}")
    if not torch.isfinite(checked).all():
        raise ValueError("values must be finite; found NaN or infinity")
    return checked


def _average_ranks(values: Tensor) -> Tensor:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, index, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last_rank = counts.cumsum(0).double()
    mean_rank: Tensor = last_rank - (counts - 1) / 2
    return mean_rank[index]
