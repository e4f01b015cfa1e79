"""Stages between the largest changes."""

from __future__ import annotations

from torch import Tensor

from feat2go.core import Stages
from feat2go.core.similarity import require_features


class LargestChange:
    """A stage begins where the features change most from one frame to the next.

    Args:
        num_stages: K; an episode with fewer frames gets one stage per frame.
    """

    def __init__(self, num_stages: int = 3) -> None:
        if num_stages < 1:
            raise ValueError(f"num_stages is at least 1; got {num_stages}")
        self.num_stages = num_stages

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> stages of T frames."""
        require_features(features)
        change = features.float().diff(dim=0).flatten(1).norm(dim=1)
        num_cuts = min(self.num_stages, len(features)) - 1
        cuts = change.topk(num_cuts).indices + 1
        return Stages.from_boundaries([0, *sorted(cuts.tolist()), len(features)])
