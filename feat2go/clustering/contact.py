"""Boundaries that no stroke begins with: where contact is made at a turning point, and within a stroke cut off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feat2go.clustering.motion import Motion, boundary_strength, ends_in_motion

# Below this share of a stroke's usual motion, a frame is at rest.
AT_REST = 0.1
# A rest may end so many frames before the onset that follows it.
SLOW_ONSET = 4
# How far before a rest, and how far after it, one looks for the way back.
FRAMES_BEFORE, FRAMES_AFTER = (2, 3, 4, 5), 9


def add_contacts(
    motions: Sequence[Motion], cuts: Sequence[list[int]], min_stage: int, max_stages: int
) -> list[list[int]]:
    """Cut a task's stages once more where contact is made.

    - At a rest from which the motion goes back the way that it came (:func:`turn` below 1, in the median over
      episodes), the hand has reached what it came for, and takes or leaves it. There a stage begins with the first
      frame at rest as well as with the stroke after it. A hesitation goes on the way that it came, and is left alone.
    - Where most episodes end in motion, because success came under way, their last stroke makes all of the task's
      effect and no rest marks its end. It is cut where half of its motion is done.
    - A turning point says more than a rest: where there would be too many stages, the weakest other rests are dropped.

    Args:
        motions: of each episode.
        cuts: inner boundaries of each, as many in all.
        min_stage: frames per stage.
        max_stages: at most.

    Returns:
        Inner boundaries of each, as many in all.
    """
    num_frames = [len(motion.amount) + 1 for motion in motions]
    num_cuts, num_possible = len(cuts[0]), most_boundaries(num_frames, min_stage, max_stages)
    contacts = turning_points(motions, cuts)
    from_the_weakest = np.argsort(median_strengths(motions, cuts), kind="stable").tolist()
    weakest = [k for k in from_the_weakest if k not in contacts]
    kept = set(range(num_cuts)).difference(weakest[: max(0, num_cuts + len(contacts) - num_possible)])
    contacts = contacts[max(0, len(kept) + len(contacts) - num_possible) :]
    refined = [_cut_at(motion, own, kept, contacts, min_stage) for motion, own in zip(motions, cuts, strict=True)]
    if are_cut_off(motions) and 0 < len(refined[0]) < num_possible:
        for motion, own in zip(motions, refined, strict=True):
            own.append(half_way(motion, own[-1]))
    return [keep_apart(own, length, min_stage) for own, length in zip(refined, num_frames, strict=True)]


def turning_points(motions: Sequence[Motion], cuts: Sequence[list[int]]) -> list[int]:
    """Numbers of the boundaries from which the motion goes back, in most episodes."""
    ratios = np.array([[turn(motion, cut) for cut in own] for motion, own in zip(motions, cuts, strict=True)])
    return [int(k) for k in np.flatnonzero(np.median(ratios, axis=0) < 1)]


def median_strengths(motions: Sequence[Motion], cuts: Sequence[list[int]]) -> np.ndarray:
    """float64 (K-1,): of each inner boundary, over episodes."""
    strengths = np.array([boundary_strength(motion)[own] for motion, own in zip(motions, cuts, strict=True)])
    medians: np.ndarray = np.median(strengths, axis=0)
    return medians


def are_cut_off(motions: Sequence[Motion]) -> bool:
    """Whether most episodes end in motion."""
    return float(np.mean([ends_in_motion(motion) for motion in motions])) > 0.5


def most_boundaries(lengths: Sequence[int], min_stage: int, max_stages: int) -> int:
    """How many inner boundaries all of the episodes have room for."""
    return min(max_stages, min(lengths) // min_stage) - 1


def _cut_at(motion: Motion, own: list[int], kept: set[int], contacts: list[int], min_stage: int) -> list[int]:
    """An episode's boundaries that are kept, and before those with a contact the first frame at rest."""
    found = []
    for k, cut in enumerate(own):
        if k in contacts:
            found.append(min(first_at_rest(motion, cut), cut - min_stage))
        if k in kept:
            found.append(cut)
    return found


def turn(motion: Motion, onset: int) -> float:
    """Whether motion goes back the way that it came, at the rest before a stroke that begins at ``onset``.

        mean_b (1 - s(b, a)) / max(1 - s(b, r), 1 - s(q, a))

    s is the similarity of two frames, r the rest's first frame that has not moved and q its last, b a frame shortly
    before and a the one shortly after that is about as far from q as b is from r. Below 1, the two are nearer to each
    other than to the rest. Going straight back gives 0; where other patches change than before, distances add up to 2.

    Returns:
        The ratio; 2 where there is nothing to compare.
    """
    similarity = motion.similarity
    last = onset - 1
    first = min(first_at_rest(motion, onset) + 1, last)
    after = 1 - similarity[last, last + 1 : last + 1 + FRAMES_AFTER]
    ratios = []
    for before in (first - frames for frames in FRAMES_BEFORE if frames <= first):
        away = 1 - similarity[before, first]
        nearest = int(np.abs(after - away).argmin())
        between = 1 - similarity[before, last + 1 + nearest]
        ratios.append(between / max(away, after[nearest], 1e-6))
    return float(np.mean(ratios)) if ratios else 2.0


def first_at_rest(motion: Motion, onset: int) -> int:
    """The first frame of the rest before an onset; the frame two before it where nothing has rested."""
    is_at_rest = motion.level < AT_REST
    candidates = [frame for frame in range(onset - 1, onset - 2 - SLOW_ONSET, -1) if frame >= 0 and is_at_rest[frame]]
    if not candidates:
        return max(onset - 2, 0)
    moved = np.flatnonzero(~is_at_rest[: candidates[0]])
    return int(moved[-1]) + 1 if len(moved) else 0


def half_way(motion: Motion, start: int) -> int:
    """The frame by which half of the motion from ``start`` on is done."""
    path = np.concatenate([[0.0], np.cumsum(np.sqrt(motion.level[start:]))])
    return start + int(np.searchsorted(path, path[-1] / 2))


def keep_apart(cuts: Sequence[int], num_frames: int, min_stage: int) -> list[int]:
    """The boundaries, moved as little as it takes for every stage to have ``min_stage`` frames."""
    latest = num_frames
    moved = []
    for cut in reversed(cuts):
        latest = min(cut, latest - min_stage)
        moved.append(latest)
    earliest = 0
    apart = []
    for cut in reversed(moved):
        earliest = max(cut, earliest + min_stage)
        apart.append(earliest)
    return apart
