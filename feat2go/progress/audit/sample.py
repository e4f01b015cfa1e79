"""An episode as the audit needs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

# Name of a milestone -> the frame where it is first reached.
Milestones = dict[str, int]


@dataclass(frozen=True)
class Sample:
    """One episode of T frames.

    Attributes:
        uid: unique.
        task: episodes of one task share their stages.
        features: (T, P, D).
        milestones: empty if nothing is known.
    """

    uid: str
    task: str
    features: Tensor
    milestones: Milestones = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def inner_milestones(self) -> list[int]:
        """The frames of milestones after the first frame and before the last: those that a boundary can mark."""
        return sorted({frame for frame in self.milestones.values() if 0 < frame < len(self) - 1})

    def backward(self) -> Sample:
        """The episode as if played backward, without milestones."""
        return replace(self, features=self.features.flip(0), milestones={})
