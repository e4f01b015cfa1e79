"""Found stages against reference stages, beside boundary F1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from feat2go.progress.boundaries import num_matched


def boundary_precision(predicted: Sequence[int], reference: Sequence[int], tolerance: int) -> float:
    """Share of the predicted boundaries that a reference boundary lies within ``tolerance`` frames of, one to one.

    Returns:
        In [0, 1]; without predictions, 1 if there was nothing to find, else 0.
    """
    if not predicted:
        return float(not reference)
    return num_matched(predicted, reference, tolerance) / len(predicted)


def boundary_recall(predicted: Sequence[int], reference: Sequence[int], tolerance: int) -> float:
    """Share of the reference boundaries that were found; :func:`boundary_precision` the other way round."""
    return boundary_precision(reference, predicted, tolerance)


def stage_of_frames(boundaries: Sequence[int], num_frames: int) -> np.ndarray:
    """int64 (T,): the stage of each frame, from inner boundaries in (0, T)."""
    cuts = [0, *sorted(set(boundaries)), num_frames]
    if any(a >= b for a, b in pairwise(cuts)):
        raise ValueError(f"inner boundaries must lie between 0 and {num_frames}; got {sorted(boundaries)}")
    return np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))


def frame_accuracy(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Share of frames in the right stage, under the one-to-one naming of stages that makes it largest.

    Args:
        predicted: int64 (T,), stage of each frame.
        reference: the same, of the reference.

    Returns:
        In (0, 1]. Source: the "mean over frames" of unsupervised action segmentation, with Hungarian matching.
    """
    counts = _contingency(predicted, reference)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(predicted))


def adjusted_rand(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Adjusted Rand index of two cuts of the same T frames.

        (sum_ij C(n_ij, 2) - e) / ((sum_i C(a_i, 2) + sum_j C(b_j, 2)) / 2 - e),
        e = sum_i C(a_i, 2) sum_j C(b_j, 2) / C(T, 2)

    Source: Hubert and Arabie, "Comparing partitions", Journal of Classification 2 (1985).

    Returns:
        1 for equal cuts, 0 on average for random ones; may be negative.
    """
    counts = _contingency(predicted, reference)
    both, left, right = _pairs(counts).sum(), _pairs(counts.sum(1)).sum(), _pairs(counts.sum(0)).sum()
    total = _pairs(np.array(len(predicted)))
    expected = left * right / total if total else 0.0
    scale = (left + right) / 2 - expected
    return 1.0 if scale == 0 else float((both - expected) / scale)


def _contingency(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    if predicted.shape != reference.shape or predicted.ndim != 1 or len(predicted) == 0:
        raise ValueError(f"stages of the same frames are needed; got {predicted.shape} and {reference.shape}")
    counts = np.zeros((predicted.max() + 1, reference.max() + 1), np.int64)
    np.add.at(counts, (predicted, reference), 1)
    return counts


def _pairs(count: np.ndarray) -> np.ndarray:
    pairs: np.ndarray = count * (count - 1) / 2
    return pairs
