"""Stages between the strokes of motion, shared by all episodes of a task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from feat2go.clustering.alignment import Weights, common_boundaries, strongest_boundaries
from feat2go.clustering.motion import Motion, evidence_of, motion_of
from feat2go.core.similarity import require_features
from feat2go.core.types import Stages

# Longer episodes are looked at in so many frames: alignment takes time with their square.
MAX_FRAMES = 400
# An episode shorter than this share of the task's median length says nothing about the others.
MIN_LENGTH_SHARE = 0.25


class Strokes:
    """Motion comes in strokes with rests in between: reach, grasp, lift, carry, place. A stage starts with a stroke.

    What moves is measured over all patches from each frame to the next, so no goal is needed to find stages. A boundary
    is as strong as the rest before it is deep; where an episode ends at rest, the end of its last stroke is one too.

    But arms also rest when they hesitate, and some rests are hardly visible. So the boundaries of all episodes of a
    task are chosen together: the median number of strong ones in each, such that they are strong, at like positions in
    their episodes, and that in the same stage the same kind of patches moves (an empty hand, or a hand with a cube).
    Then all episodes have the same stages, whatever their tempo. An episode alone is cut at its own strong boundaries.
    :mod:`~feat2go.clustering.motion` says what is measured, :mod:`~feat2go.clustering.alignment` what is maximised.

    Args:
        strong: a strong boundary's least strength, the logarithm of how many times more moves in the strokes around a
            rest than in the rest; at least 0.
        min_stages: a task's stages, at least, where its episodes are long enough.
        max_stages: at most.
        min_stage: frames per stage, at least 1.
        position: cost of boundaries at unlike positions.
        change: gain of stages in which the same patches move.

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
    ) -> None:
        if min_stage < 1:
            raise ValueError(f"min_stage must be at least 1 frame; got {min_stage}")
        if not 1 <= min_stages <= max_stages:
            raise ValueError(f"1 <= min_stages <= max_stages must hold; got {min_stages} and {max_stages}")
        for name, value in (("strong", strong), ("position", position), ("change", change)):
            if not 0 <= value < np.inf:
                raise ValueError(f"{name} must be a finite number of at least 0; got {value}")
        self.strong = strong
        self.min_stages = min_stages
        self.max_stages = max_stages
        self.min_stage = min_stage
        self.position = position
        self.change = change

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
        lengths, strides, motions = [], [], {}
        for number, track in enumerate(features):
            require_features(track)
            stride = -(-len(track) // MAX_FRAMES)
            lengths.append(len(track))
            strides.append(stride)
            if len(track) > 2:
                motions[number] = motion_of(track[::stride])
        typical = np.median(lengths) if lengths else 0
        kept = {number: own for number, own in motions.items() if lengths[number] >= MIN_LENGTH_SHARE * typical}
        cuts = dict(zip(kept, self._cuts(list(kept.values())), strict=True))
        return [
            Stages.from_boundaries([0, *(cut * strides[number] for cut in cuts.get(number, [])), length])
            for number, length in enumerate(lengths)
        ]

    def _cuts(self, motions: Sequence[Motion]) -> list[list[int]]:
        """Inner boundaries of every episode."""
        if not motions:
            return []
        episodes = evidence_of(motions)
        own = [strongest_boundaries(e, self.strong, self.min_stage, self.max_stages) for e in episodes]
        if len(episodes) == 1:
            return own
        usual = sorted(len(cuts) for cuts in own)[(len(own) - 1) // 2]
        num_possible = min(len(e) for e in episodes) // self.min_stage - 1
        num_cuts = min(max(usual, self.min_stages - 1), num_possible)
        if num_cuts < 1 or not any(e.strength.any() for e in episodes):
            return [[] for _ in episodes]
        return common_boundaries(episodes, num_cuts, Weights(self.position, self.change), self.min_stage)
