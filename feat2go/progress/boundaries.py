"""Stages against reference stages."""

from __future__ import annotations

from collections.abc import Sequence


def boundary_f1(predicted: Sequence[int], reference: Sequence[int], tolerance: int) -> float:
    """F1 of inner boundaries, each matched with at most one other within ``tolerance`` frames.

    Args:
        predicted: frames at which a new stage starts, without 0 and T, in any order.
        reference: the same, of the stages that should have been found.
        tolerance: in frames, at least 0.

    Returns:
        In [0, 1]; 1 where both are empty.

    Raises:
        ValueError: for a negative tolerance.
    """
    matched = num_matched(predicted, reference, tolerance)
    if not predicted and not reference:
        return 1.0
    return 2 * matched / (len(predicted) + len(reference))


def num_matched(predicted: Sequence[int], reference: Sequence[int], tolerance: int) -> int:
    """The largest number of one-to-one pairs of boundaries within ``tolerance`` frames.

    Raises:
        ValueError: for a negative tolerance.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance must be at least 0 frames; got {tolerance}")
    # Along a line, pairing the earliest partners that reach each other matches as many as can be.
    left, right = sorted(predicted), sorted(reference)
    matched = i = j = 0
    while i < len(left) and j < len(right):
        if abs(left[i] - right[j]) <= tolerance:
            matched, i, j = matched + 1, i + 1, j + 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return matched
