"""Stages that don't look at the features: what a real clustering has to beat."""

from __future__ import annotations

from torch import Tensor

from feat2go.core.similarity import require_features
from feat2go.core.types import Stages


class Uniform:
    """Stages of equal length.

    Stage n starts at frame floor(n * T / K). An episode with fewer frames than stages gets one stage per frame.

    Args:
        num_stages: K, at least 1.

    Raises:
        ValueError: for fewer than one stage.
    """

    def __init__(self, num_stages: int = 5) -> None:
        if num_stages < 1:
            raise ValueError(f"num_stages must be at least 1; got {num_stages}")
        self.num_stages = num_stages

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> stages of T frames.

        Raises:
            ValueError: for empty or non-finite features.
        """
        require_features(features)
        num_frames = len(features)
        num_stages = min(self.num_stages, num_frames)
        return Stages.from_boundaries([n * num_frames // num_stages for n in range(num_stages + 1)])


class Single:
    """One stage, from the first frame to the last: progress is similarity to the last frame."""

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> one stage of T frames.

        Raises:
            ValueError: for empty or non-finite features.
        """
        require_features(features)
        return Stages.from_boundaries([0, len(features)])
