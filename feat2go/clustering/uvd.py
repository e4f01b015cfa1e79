"""Stages by Universal Visual Decomposition: where the way to the goal stops getting shorter."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.core.similarity import require_features
from feat2go.core.types import Stages


class UVD:
    """Universal Visual Decomposition with one embedding per frame, the mean of its patches.

    From the goal g, at first the last frame: d_t = ||e_t - e_g||_2 for t <= g, smoothed over time by Nadaraya-Watson
    kernel regression with weights exp(-gamma (t - s)^2). The latest strict local maximum t with g - t > min_interval
    and t > min_interval is the next goal: from there on, the distance to g only falls. Repeat until there is none.

    Source: Universal Visual Decomposer (arXiv 2310.08581). Its videos are longer; there, ``min_interval`` is 18.

    Args:
        min_interval: frames between goals, at least 1.
        gamma: inverse square width of the smoothing, per frame squared; over 0.
        max_stages: stop when there are so many, counted from the end; no limit by default.

    Raises:
        ValueError: for a number outside of its range.
    """

    def __init__(self, min_interval: int = 3, gamma: float = 0.08, max_stages: int | None = None) -> None:
        if min_interval < 1:
            raise ValueError(f"min_interval must be at least 1 frame; got {min_interval}")
        if not gamma > 0:
            raise ValueError(f"gamma must be over 0; got {gamma}")
        if max_stages is not None and max_stages < 1:
            raise ValueError(f"max_stages must be at least 1; got {max_stages}")
        self.min_interval = min_interval
        self.gamma = gamma
        self.max_stages = max_stages

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> stages of T frames; the curve is the smoothed distance to the goal, negated.

        Raises:
            ValueError: for empty or non-finite features.
        """
        require_features(features)
        pooled = torch.stack([frame.float().mean(0) for frame in features]).cpu()
        goal = len(features) - 1
        ends = [goal]
        curve = -self._distance(pooled)
        while self.max_stages is None or len(ends) < self.max_stages:
            distance = self._distance(pooled[: goal + 1])
            found = self._latest_maximum(distance, goal)
            if found is None:
                break
            goal = found
            ends.append(goal)
            curve[: goal + 1] = -self._distance(pooled[: goal + 1])
        return Stages.from_boundaries([0, *(end + 1 for end in reversed(ends))], curve)

    def _distance(self, pooled: Tensor) -> Tensor:
        """Smoothed distance to the last of these frames, float32 (t,)."""
        distance = torch.linalg.vector_norm(pooled - pooled[-1], dim=1).double()
        time = torch.arange(len(distance), dtype=torch.float64)
        weights = torch.exp(-self.gamma * (time[:, None] - time) ** 2)
        smooth: Tensor = weights @ distance / weights.sum(1)
        return smooth.float()

    def _latest_maximum(self, distance: Tensor, goal: int) -> int | None:
        inner = distance[1:-1]
        is_maximum = (inner > distance[:-2]) & (inner > distance[2:])
        candidates = (is_maximum.nonzero()[:, 0] + 1).tolist()
        fits = [t for t in candidates if goal - t > self.min_interval and t > self.min_interval]
        return max(fits, default=None)
