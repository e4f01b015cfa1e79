"""Stages from the trend of similarity: walk backward and cut where the approach to the goal began."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from feat2go.core.similarity import patch_similarity, require_track
from feat2go.core.slope import local_slope
from feat2go.core.types import Stages

DEFAULT_QUANTILE = 0.7

# A quantile of a falling or flat curve is no rise: less than this per frame is float32 rounding.
MIN_SLOPE = 1e-6


class Trend:
    """Trend-based clustering, the paper's.

    From the goal frame K, at first the last of the episode, walk backward over the slopes w_t of the line through
    y_tau = S(Z_{t+tau}, Z_K), tau = 0..window-1 (``core.slope.local_slope``; no window reaches beyond K). Where
    w_t > alpha, frame t is a stage boundary: a new stage starts at t, the one before it ends at t-1.

    What the paper leaves open, and the choices here:

    - Neighbouring frames over the threshold count once. Of each unbroken run the earliest frame is the boundary: there
      the approach to the goal begins.
    - Stages have at least ``min_stage`` frames: a boundary that would make a shorter one, before or after it, is
      dropped. A single stage may be shorter.
    - With ``reanchor``, each boundary found becomes the goal of the rest of the walk, over the frames up to it, as in
      UVD (arXiv 2310.08581). Without, all boundaries are found on the curve to the last frame.
    - alpha is either ``threshold`` (similarity per frame) or the ``quantile`` of the curve's own slopes, but at least
      ``MIN_SLOPE``; each re-anchored curve has its own. The last frame has no slope and isn't counted.

    A curve that rises nowhere (constant features) or a single frame gives one stage. Defaults are measured: see
    docs/defaults.md. Source: Feat2Go (arXiv 2605.30795), trend-based clustering.

    Args:
        window: frames per slope, at least 2.
        threshold: absolute alpha, at least 0.
        quantile: alpha relative to the curve's slopes, in [0, 1). Without this and ``threshold``: 0.7.
        min_stage: frames per stage, at least 1.
        reanchor: whether each boundary becomes the next goal.
        beta: of the patch similarity.

    Raises:
        ValueError: if both ``threshold`` and ``quantile`` are given, or a number is outside of its range.
    """

    def __init__(
        self,
        window: int = 3,
        threshold: float | None = None,
        quantile: float | None = None,
        min_stage: int = 3,
        reanchor: bool = True,
        beta: float = 0.0,
    ) -> None:
        if threshold is not None and quantile is not None:
            raise ValueError(f"give threshold or quantile, not both; got threshold={threshold}, quantile={quantile}")
        if threshold is None and quantile is None:
            quantile = DEFAULT_QUANTILE
        if window < 2:
            raise ValueError(f"window must be at least 2 frames; got {window}")
        if threshold is not None and not (math.isfinite(threshold) and threshold >= 0):
            raise ValueError(f"threshold must be a finite number of at least 0; got {threshold}")
        if quantile is not None and not 0 <= quantile < 1:
            raise ValueError(f"quantile must be in [0, 1); got {quantile}")
        if min_stage < 1:
            raise ValueError(f"min_stage must be at least 1 frame; got {min_stage}")
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta must be a finite number of at least 0; got {beta}")
        self.window = window
        self.threshold = threshold
        self.quantile = quantile
        self.min_stage = min_stage
        self.reanchor = reanchor
        self.beta = beta

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> stages of T frames.

        ``curve`` and ``slope`` of the result are those that the walk saw: of each frame, its similarity to the goal
        that was in force when the walk passed it.

        Raises:
            ValueError: for empty or non-finite features.
        """
        require_track(features)
        curve, slope = self._toward_last(features)
        starts = self._run_starts(slope)
        cuts = [len(features)]
        while cuts[-1] > 0:
            room = range(self.min_stage, cuts[-1] - self.min_stage + 1)
            cut = max((start for start in starts if start in room), default=0)
            cuts.append(cut)
            if self.reanchor and cut > 0:
                toward_cut, slope_toward_cut = self._toward_last(features[: cut + 1])
                starts = self._run_starts(slope_toward_cut)
                curve[:cut], slope[:cut] = toward_cut[:cut], slope_toward_cut[:cut]
        return Stages.from_boundaries(cuts[::-1], curve, slope)

    def _toward_last(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Similarity to the last of these frames and its slope, both (T,), on the CPU."""
        curve = patch_similarity(features, features[-1], self.beta).cpu()
        return curve, local_slope(curve, self.window)

    def _run_starts(self, slope: Tensor) -> list[int]:
        """The earliest frame of every run of slopes over alpha."""
        if len(slope) < 2:
            return []
        is_over = slope > self._alpha(slope)
        starts = is_over.clone()
        starts[1:] &= ~is_over[:-1]
        return [int(t) for t in starts.nonzero()]

    def _alpha(self, slope: Tensor) -> float:
        if self.quantile is None:
            assert self.threshold is not None
            return self.threshold
        return max(float(torch.quantile(slope[:-1], self.quantile)), MIN_SLOPE)
