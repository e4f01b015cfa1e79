"""How a progress target runs through an episode, beside VOC and pair accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def violation_rate(values: np.ndarray) -> float:
    """Share of the steps from one frame to the next that lower the value (T,); 0 for a single frame."""
    return float((np.diff(values) < 0).mean()) if len(values) > 1 else 0.0


def max_drawdown(values: np.ndarray) -> float:
    """The largest fall of the value (T,) from a peak to a later frame, at least 0."""
    return float((np.maximum.accumulate(values) - values).max())


def milestone_progress(milestone_frames: Sequence[int], num_frames: int) -> np.ndarray:
    """What progress would be if it were linear between milestones.

    With M milestones after frame 0 and before the last one it is 0 at frame 0, k / (M+1) at the k-th, and 1 at the last
    frame. Of milestones at the same frame the last counts.

    Returns:
        float64 (T,) in [0, 1].
    """
    inner = [frame for frame in sorted(milestone_frames) if 0 < frame < num_frames - 1]
    knots = {0: 0.0} | {frame: (k + 1) / (len(inner) + 1) for k, frame in enumerate(inner)} | {num_frames - 1: 1.0}
    return np.interp(np.arange(num_frames), list(knots), list(knots.values()))
