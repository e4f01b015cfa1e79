"""How far a task is at each frame, at any tempo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# At rest, progress grows by this share of what it grows by in a usual step, so that no two frames have the same.
AT_REST = 1e-4


def typical_shares(cuts: Sequence[Sequence[int]], lengths: Sequence[int]) -> np.ndarray:
    """float64 (K,): the share of its time that a task's typical episode spends in each stage, the median over episodes.

    Args:
        cuts: inner boundaries of each episode, as many in all.
        lengths: frames of each.
    """
    times = [np.diff([0, *own, length - 1]) / max(length - 1, 1) for own, length in zip(cuts, lengths, strict=True)]
    shares = np.median(times, axis=0)
    normalised: np.ndarray = shares / max(shares.sum(), 1e-9)
    return normalised


def paced_progress(amount: np.ndarray, cuts: Sequence[int], shares: np.ndarray) -> np.ndarray:
    """Progress of one episode of T frames, through stages of given shares, each by how much of its motion is done.

    Neither a slow stage nor a rest within a stage changes the progress that a frame has.

    Args:
        amount: (T-1,), how much moves from frame to frame.
        cuts: K-1 inner boundaries.
        shares: (K,), of the stages, of sum 1.

    Returns:
        float64 (T,), from 0 to 1, never falling.
    """
    usual = amount.max()
    steps = amount + AT_REST * usual if usual > 0 else np.ones(len(amount))
    path = np.concatenate([[0.0], np.cumsum(steps)])
    at_cuts = path[[0, *cuts, len(path) - 1]]
    progress: np.ndarray = np.interp(path, at_cuts, np.concatenate([[0.0], np.cumsum(shares)]))
    progress[-1] = 1.0
    return progress.clip(0, 1)
