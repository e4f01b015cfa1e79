"""Boundaries that mean the same in all episodes of a task: chosen for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_ITERATIONS = 8
# Alignment starts from the boundaries of so many episodes in turn, and the best result counts.
NUM_STARTS = 4


@dataclass(frozen=True)
class Evidence:
    """What one episode of T frames says about where a stage may start.

    Attributes:
        strength: float (T,), how much frame t looks like the first of a stage, at least 0.
        position: float (T, D), where in the task frame t is.
        change: float (T, C), what has changed in the picture since the first frame, summed up: a stage from s to t
            shows the change ``change[t] - change[s]``.
    """

    strength: np.ndarray
    position: np.ndarray
    change: np.ndarray

    def __len__(self) -> int:
        return len(self.strength)


@dataclass(frozen=True)
class Weights:
    """How positions and changes are weighed against strengths.

    Attributes:
        position: cost of a squared distance between a boundary and the common position.
        change: gain of a stage whose change points the same way as in the other episodes, times its cosine.
    """

    position: float
    change: float


def common_boundaries(episodes: Sequence[Evidence], num_cuts: int, weights: Weights, min_stage: int) -> list[list[int]]:
    """Inner boundaries of every episode, the same number in each.

    Boundaries b_1 < ... < b_K of all episodes e maximise

        sum_e [ sum_k strength_e(b_k) - position * |x_e(b_k) - m_k|^2 + change * sum_n cos(d_e(n), c_n) ]

    where x is the position, m_k the median over episodes of that of boundary k, d(n) the change in stage n, and c_n its
    mean direction in the other episodes. Given m and c, each episode's boundaries follow by dynamic programming; given
    the boundaries, m and c follow; the two alternate, from the strongest boundaries of several episodes in turn.

    Args:
        episodes: of more than ``num_cuts * min_stage`` frames each.
        num_cuts: K, at least 1.
        weights: of the three terms.
        min_stage: frames per stage.
    """
    starts = range(min(NUM_STARTS, len(episodes)))
    found = [_aligned(episodes, start, num_cuts, weights, min_stage) for start in starts]
    _, best = max(found, key=lambda pair: pair[0])
    return best


def strongest_boundaries(own: Evidence, cost: float, min_stage: int, max_stages: int) -> list[int]:
    """Inner boundaries of an episode alone: the strongest over ``cost``, at least ``min_stage`` frames apart."""
    chosen = [0, len(own)]
    for frame in np.argsort(-own.strength, kind="stable").tolist():
        if own.strength[frame] <= cost or len(chosen) > max_stages:
            break
        if all(abs(frame - cut) >= min_stage for cut in chosen):
            chosen.append(frame)
    return sorted(chosen)[1:-1]


def _aligned(
    episodes: Sequence[Evidence], start: int, num_cuts: int, weights: Weights, min_stage: int
) -> tuple[float, list[list[int]]]:
    """Alternate, from the strongest boundaries of one episode."""
    own = episodes[start]
    flat = np.zeros((num_cuts + 1, len(own), len(own)))
    _, cuts = _best_cuts(np.repeat(own.strength[None], num_cuts, axis=0), flat, min_stage)
    common = own.position[cuts]
    directions = np.repeat(_directions(own, cuts)[None], len(episodes), axis=0)
    total, found = 0.0, [cuts] * len(episodes)
    for _ in range(MAX_ITERATIONS):
        total, found = 0.0, []
        for number, own in enumerate(episodes):
            distance = ((own.position[None] - common[:, None]) ** 2).sum(-1)
            stages = weights.change * _agreement(own.change, directions[number])
            value, cuts = _best_cuts(own.strength[None] - weights.position * distance, stages, min_stage)
            total += value
            found.append(cuts)
        at_cuts = [own.position[cuts] for own, cuts in zip(episodes, found, strict=True)]
        earlier, common = common, np.median(at_cuts, axis=0)
        directions = _directions_of_others(episodes, found)
        if np.array_equal(earlier, common):
            break
    return total, found


def _best_cuts(cuts: np.ndarray, stages: np.ndarray, min_stage: int) -> tuple[float, list[int]]:
    """Dynamic programming over one episode of T frames.

    Args:
        cuts: (K, T), what boundary k gains at frame t.
        stages: (K+1, T, T), what stage n gains from frame s up to boundary t; the last one's t is T-1, its last frame.
        min_stage: frames per stage.
    """
    num_cuts, num_frames = cuts.shape
    frames = np.arange(num_frames)
    is_allowed = (frames >= min_stage) & (frames <= num_frames - min_stage)
    is_too_short = frames[None] - frames[:, None] < min_stage
    value = np.where(is_allowed, cuts[0] + stages[0, 0], -np.inf)
    came_from = np.zeros((num_cuts, num_frames), np.int64)
    for k in range(1, num_cuts):
        ways = np.where(is_too_short, -np.inf, value[:, None] + stages[k])
        came_from[k] = ways.argmax(axis=0)
        value = np.where(is_allowed, ways.max(axis=0) + cuts[k], -np.inf)
    value = value + stages[num_cuts, :, -1]
    cut = int(value.argmax())
    chosen = [cut]
    for k in range(num_cuts - 1, 0, -1):
        chosen.append(int(came_from[k, chosen[-1]]))
    return float(value[cut]), chosen[::-1]


def _agreement(change: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(T, C) and (N, C) -> (N, T, T): cosine of the change from s to t with each direction."""
    squares = (change**2).sum(1)
    length = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * change @ change.T, 1e-12))
    along = change @ directions.T
    agreement: np.ndarray = (along.T[:, None, :] - along.T[:, :, None]) / length
    return agreement


def _directions(own: Evidence, cuts: Sequence[int]) -> np.ndarray:
    """(N, C): unit vectors of what changes in each stage."""
    at_ends = own.change[[0, *cuts, len(own) - 1]]
    return _unit(np.diff(at_ends, axis=0))


def _directions_of_others(episodes: Sequence[Evidence], cuts: Sequence[Sequence[int]]) -> np.ndarray:
    """(E, N, C): for each episode, the mean direction of each stage in the other ones."""
    each = np.stack([_directions(own, chosen) for own, chosen in zip(episodes, cuts, strict=True)])
    return _unit(each.sum(axis=0) - each)


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
    return unit
