"""Stages of one trend each, merged from short pieces and aligned across a task's episodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from feat2go.clustering.alignment import Weights
from feat2go.clustering.motion import Motion
from feat2go.clustering.together import Choice, segment_together
from feat2go.core.similarity import patch_similarity
from feat2go.core.types import Stages

# A piece that a merge starts from, in frames: the least that has a slope.
PIECE = 2
MAX_STRENGTH = 2.5


class TrendAgglomerative:
    """Segments that share a trend, merged; then aligned so that all episodes of a task have the same stages.

    The curve is the similarity to the last frame. It is cut into pieces of two frames, and the two neighbours whose
    slopes differ least are merged, again and again. A boundary is as strong as the difference of slopes at which it was
    merged away, in standard deviations of the curve's steps. From there on it is as in
    :class:`~feat2go.clustering.Strokes`: the median number of strong boundaries in each episode of a task, at like
    positions, between stages in which the same patches move.

    Args:
        strong: a strong boundary's least strength.
        min_stages: a task's stages, at least, where its episodes are long enough.
        max_stages: at most.
        min_stage: frames per stage, at least 1.
        position: cost of boundaries at unlike positions.
        change: gain of stages in which the same patches move.
        beta: of the patch similarity.

    Raises:
        ValueError: for a number outside of its range.
    """

    def __init__(
        self,
        strong: float = 0.9,
        min_stages: int = 3,
        max_stages: int = 8,
        min_stage: int = 2,
        position: float = 8.0,
        change: float = 2.0,
        beta: float = 0.0,
    ) -> None:
        if not 0 <= beta < np.inf:
            raise ValueError(f"beta must be a finite number of at least 0; got {beta}")
        self.strong = strong
        self.min_stages = min_stages
        self.max_stages = max_stages
        self.min_stage = min_stage
        self.position = position
        self.change = change
        self.beta = beta
        self._choice = Choice(strong, min_stages, max_stages, min_stage, Weights(position, change))

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) of an episode alone -> stages of T frames.

        Raises:
            ValueError: for empty or non-finite features.
        """
        return self.segment_all([features])[0]

    def segment_all(self, features: Sequence[Tensor]) -> list[Stages]:
        """Features (T_e, P, D) of a task's episodes, each read once -> stages of each, as many in all.

        Episodes shorter than a quarter of the median length have a single stage, and no say.

        Raises:
            ValueError: for empty or non-finite features.
        """
        return segment_together(features, self._strength, self._choice)

    def _strength(self, features: Tensor, motion: Motion) -> np.ndarray:
        curve = patch_similarity(features, features[-1], self.beta).cpu().double().numpy()
        return merge_strength(curve)


def merge_strength(curve: np.ndarray) -> np.ndarray:
    """How unlike the trends are that meet at each frame.

    Args:
        curve: (T,).

    Returns:
        float64 (T,): at a boundary between pieces, the difference of slopes at which it was merged away, in standard
        deviations of the curve's steps; 0 everywhere else, and for a straight curve.
    """
    strength = np.zeros(len(curve))
    scale = float(np.diff(curve).std()) if len(curve) > 1 else 0.0
    # A curve of float32 similarities is straight if its steps differ by rounding only.
    if scale < 1e-6:
        return strength
    cuts = [*range(0, len(curve) - PIECE + 1, PIECE), len(curve)]
    slopes = [_slope(curve, a, b) for a, b in itertools.pairwise(cuts)]
    while len(slopes) > 1:
        differences = np.abs(np.diff(slopes))
        k = int(differences.argmin())
        # A later merge is never weaker: what survives longer is worth more.
        strength[cuts[k + 1]] = max(float(differences[k]), float(strength.max()))
        del cuts[k + 1]
        slopes[k : k + 2] = [_slope(curve, cuts[k], cuts[k + 1])]
    return np.minimum(strength / scale, MAX_STRENGTH)


def _slope(curve: np.ndarray, start: int, stop: int) -> float:
    """Least squares over frames [start, stop), and the next one, to which the piece leads."""
    values = curve[start : stop + 1]
    time = np.arange(len(values)) - (len(values) - 1) / 2
    return float(time @ values / (time @ time)) if len(values) > 1 else 0.0
