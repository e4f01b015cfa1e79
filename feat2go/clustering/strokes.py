"""Stages between the strokes of motion, shared by all episodes of a task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from feat2go.clustering.alignment import Weights
from feat2go.clustering.contact import add_contacts
from feat2go.clustering.motion import Motion, boundary_strength
from feat2go.clustering.together import Choice, segment_together
from feat2go.core.types import Stages


class Strokes:
    """Motion comes in strokes with rests in between: reach, grasp, lift, carry, place. A stage starts with a stroke.

    What moves is measured over all patches from each frame to the next, so no goal is needed to find stages. A boundary
    is as strong as the rest before it is deep; where an episode ends at rest, the end of its last stroke is one too.

    But arms also rest when they hesitate, and some rests are hardly visible. So the boundaries of all episodes of a
    task are chosen together: the median number of strong ones in each, such that they are strong, at like positions in
    their episodes, and that in the same stage the same kind of patches moves (an empty hand, or a hand with a cube).
    Then all episodes have the same stages, whatever their tempo. An episode alone is cut at its own strong boundaries.

    Last, stages are cut once more where contact is made: at rests from which the motion goes back the way that it came,
    since there the hand takes or leaves something, and half way through a last stroke that success cuts off.
    :mod:`~feat2go.clustering.motion` says what is measured, :mod:`~feat2go.clustering.alignment` what is maximised,
    :mod:`~feat2go.clustering.contact` where contact is made.

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
        self.strong = strong
        self.min_stages = min_stages
        self.max_stages = max_stages
        self.min_stage = min_stage
        self.position = position
        self.change = change
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
        return segment_together(features, lambda _, motion: boundary_strength(motion), self._choice, self._refine)

    def _refine(self, motions: Sequence[Motion], cuts: list[list[int]]) -> list[list[int]]:
        return add_contacts(motions, cuts, self.min_stage, self.max_stages)
