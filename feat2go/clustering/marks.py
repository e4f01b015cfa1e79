"""What the boundaries of one mover are for, and which of several movers' boundaries are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from feat2go.clustering.contact import (
    are_cut_off,
    first_at_rest,
    half_way,
    keep_apart,
    median_strengths,
    most_boundaries,
    turning_points,
)
from feat2go.clustering.motion import Motion, end_of_motion, ends_in_motion

# Two boundaries come one after the other in a task if they do in this share of its episodes.
SAME_ORDER = 0.75


class Role(IntEnum):
    """What a boundary is for, the least telling first."""

    REST = 0
    APPROACH = 1
    END = 2
    CONTACT = 3


@dataclass(frozen=True)
class Mark:
    """A boundary of all episodes of a task.

    Attributes:
        frames: int64 (E,), where it is in each.
        role: what it is for.
        strength: the median over episodes.
    """

    frames: np.ndarray
    role: Role
    strength: float


def marks_of(motions: Sequence[Motion], cuts: Sequence[Sequence[int]], min_stage: int) -> list[Mark]:
    """Sort the boundaries of a mover by what they are for, and leave out hesitations.

    - A contact is a turning point (:func:`~feat2go.clustering.contact.turn` below 1, in the median over episodes): the
      hand takes or leaves something. It has two boundaries, the first frame at rest and the onset after it.
    - The rest before a contact begins the approach to it.
    - Motion ends; or, where success cuts it off, the last stroke is half done.
    - Any other rest is a hesitation where there are contacts: motion goes on the way that it came. Without contacts,
      nothing tells rests from hesitations, and all are kept.

    Args:
        motions: of the mover in each episode.
        cuts: inner boundaries of each, as many in all.
        min_stage: frames between a contact's two boundaries, at least.
    """
    num_cuts = len(cuts[0])
    if not num_cuts:
        return []
    frames = np.array(cuts)
    own_cuts = [list(own) for own in cuts]
    contacts = turning_points(motions, own_cuts)
    marks = []
    for k, strength in enumerate(median_strengths(motions, own_cuts).tolist()):
        onsets = frames[:, k]
        if k in contacts:
            rests = [first_at_rest(motion, onset) for motion, onset in zip(motions, onsets.tolist(), strict=True)]
            marks.append(Mark(np.minimum(rests, onsets - min_stage), Role.CONTACT, strength))
            marks.append(Mark(onsets, Role.CONTACT, strength))
        elif k + 1 in contacts:
            marks.append(Mark(onsets, Role.APPROACH, strength))
        elif k == num_cuts - 1 and _is_end(motions, onsets):
            marks.append(Mark(onsets, Role.END, strength))
        elif not contacts:
            marks.append(Mark(onsets, Role.REST, strength))
    if are_cut_off(motions):
        halves = [half_way(motion, own[-1]) for motion, own in zip(motions, cuts, strict=True)]
        marks.append(Mark(np.array(halves), Role.END, 0.0))
    return marks


def merge(marks: Sequence[Mark], lengths: Sequence[int], min_stage: int, max_stages: int) -> list[list[int]]:
    """Inner boundaries of each episode, as many in all: the most telling marks that have the same order everywhere.

    Args:
        marks: of all movers.
        lengths: of the episodes, in frames.
        min_stage: frames per stage.
        max_stages: at most.
    """
    num_possible = most_boundaries(lengths, min_stage, max_stages)
    kept: list[np.ndarray] = []
    for mark in sorted(marks, key=lambda mark: (mark.role, mark.strength), reverse=True):
        if len(kept) < num_possible and all(_are_in_order(mark.frames, other, min_stage) for other in kept):
            kept.append(mark.frames)
    by_episode = [sorted(int(frames[episode]) for frames in kept) for episode in range(len(lengths))]
    return [keep_apart(own, length, min_stage) for own, length in zip(by_episode, lengths, strict=True)]


def _is_end(motions: Sequence[Motion], frames: np.ndarray) -> bool:
    """Whether motion is over there, in most episodes."""
    is_over = [
        not ends_in_motion(motion) and frame >= end_of_motion(motion)[1]
        for motion, frame in zip(motions, frames, strict=True)
    ]
    return float(np.mean(is_over)) > 0.5


def _are_in_order(frames: np.ndarray, other: np.ndarray, min_stage: int) -> bool:
    """Whether two boundaries are apart, and the same one comes first in nearly all episodes."""
    is_first = max(np.mean(frames < other), np.mean(frames > other)) >= SAME_ORDER
    return bool(is_first and np.median(np.abs(frames - other)) >= 1)
