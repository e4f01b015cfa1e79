"""Cut all episodes of a task together, by any measure of where a stage may start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from feat2go.clustering.alignment import Weights, common_boundaries, strongest_boundaries
from feat2go.clustering.motion import Motion, evidence_of, motion_of
from feat2go.core.similarity import require_features, require_track
from feat2go.core.types import Stages

# Longer episodes are looked at in so many frames: alignment takes time with their square.
MAX_FRAMES = 400
# An episode shorter than this share of the task's median length says nothing about the others.
MIN_LENGTH_SHARE = 0.25

# Features (T, P, D) and their motion -> float (T,), how much a frame looks like the first of a stage.
StrengthOf = Callable[[Tensor, Motion], np.ndarray]
# Motions and inner boundaries of a task's episodes -> inner boundaries, as many in each.
Refine = Callable[[Sequence[Motion], list[list[int]]], list[list[int]]]


@dataclass(frozen=True)
class Choice:
    """How boundaries are chosen.

    Attributes:
        strong: a strong boundary's least strength; the median number of these is what all episodes get.
        min_stages, max_stages: a task's stages, where its episodes are long enough.
        min_stage: frames per stage.
        weights: of the alignment.

    Raises:
        ValueError: for a number outside of its range.
    """

    strong: float
    min_stages: int
    max_stages: int
    min_stage: int
    weights: Weights

    def __post_init__(self) -> None:
        if self.min_stage < 1:
            raise ValueError(f"min_stage must be at least 1 frame; got {self.min_stage}")
        if not 1 <= self.min_stages <= self.max_stages:
            raise ValueError(f"1 <= min_stages <= max_stages must hold; got {self.min_stages} and {self.max_stages}")
        for name, value in (
            ("strong", self.strong),
            ("position", self.weights.position),
            ("change", self.weights.change),
        ):
            if not 0 <= value < np.inf:
                raise ValueError(f"{name} must be a finite number of at least 0; got {value}")


def segment_together(
    features: Sequence[Tensor], strength_of: StrengthOf, choice: Choice, refine: Refine | None = None
) -> list[Stages]:
    """Stages of a task's episodes, as many in all but those shorter than a quarter of the median: they have one.

    An episode alone is cut at its own strong boundaries.

    Args:
        features: (T_e, P, D) of each, read once.
        strength_of: looks at one episode.
        choice: of the boundaries.
        refine: adds to the boundaries chosen.

    Raises:
        ValueError: for empty or non-finite features.
    """
    lengths: list[int] = []
    motions: dict[int, Motion] = {}
    strengths: dict[int, np.ndarray] = {}
    for number, track in enumerate(features):
        require_track(track)
        lengths.append(len(track))
        if len(track) > 2:
            motions[number], strengths[number] = _look(track, strength_of)
        else:
            require_features(track)
    kept = with_a_say(lengths)
    found = choose_boundaries([motions[number] for number in kept], [strengths[number] for number in kept], choice)
    if refine is not None and kept:
        found = refine([motions[number] for number in kept], found)
    cuts = dict(zip(kept, found, strict=True))
    return [
        Stages.from_boundaries(boundaries_in_frames(cuts.get(number, []), length))
        for number, length in enumerate(lengths)
    ]


def _look(track: Tensor, strength_of: StrengthOf) -> tuple[Motion, np.ndarray]:
    """Motion and strengths of an episode of more than two frames."""
    seen = frames_looked_at(track)
    motion = motion_of(seen)
    # NaN and infinity in frames looked at show in the motion, which is much the smaller to look through.
    if len(seen) < len(track) or not np.isfinite(motion.amount).all():
        require_features(track)
    return motion, strength_of(seen, motion)


def with_a_say(lengths: Sequence[int]) -> list[int]:
    """Numbers of the episodes that are long enough to say something about the others."""
    shortest = MIN_LENGTH_SHARE * np.median(lengths) if lengths else 0
    return [number for number, length in enumerate(lengths) if length > 2 and length >= shortest]


def frames_looked_at(track: Tensor) -> Tensor:
    """Of features (T, P, D), every frame, or of a long episode some, evenly spaced."""
    return track[:: stride_of(len(track))]


def boundaries_in_frames(cuts: Sequence[int], length: int) -> list[int]:
    """From inner boundaries that count the frames looked at to ``[0, ..., T]``."""
    return [0, *(cut * stride_of(length) for cut in cuts), length]


def stride_of(length: int) -> int:
    """Of an episode of this length, every so manyth frame is looked at."""
    return -(-length // MAX_FRAMES)


def choose_boundaries(motions: Sequence[Motion], strengths: Sequence[np.ndarray], choice: Choice) -> list[list[int]]:
    """Inner boundaries of every episode."""
    if not motions:
        return []
    episodes = evidence_of(motions, strengths)
    alone = [strongest_boundaries(own, choice.strong, choice.min_stage, choice.max_stages) for own in episodes]
    if len(episodes) == 1:
        return alone
    usual = sorted(len(cuts) for cuts in alone)[(len(alone) - 1) // 2]
    num_possible = min(len(own) for own in episodes) // choice.min_stage - 1
    num_cuts = min(max(usual, choice.min_stages - 1), num_possible)
    if num_cuts < 1 or not any(own.strength.any() for own in episodes):
        return [[] for _ in episodes]
    return common_boundaries(episodes, num_cuts, choice.weights, choice.min_stage)
