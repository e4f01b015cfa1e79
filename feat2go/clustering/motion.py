"""How much moves from frame to frame, where motion sets off and ends, and what it is that moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from feat2go.clustering.alignment import Evidence

# Below this mean patch distance, nothing moves: it is float16 rounding.
MIN_MOTION = 1e-5
# A stroke's usual motion is this quantile of the episode's, or this share of the largest where it mostly rests.
USUAL_QUANTILE, USUAL_SHARE = 0.7, 0.3
# A peak below this share of the usual is no stroke: the arm settles, or trembles.
MIN_STROKE = 0.4
# What counts as no motion at all is this share of the usual.
REST_SHARE = 0.05
# Motion sets off when it has risen by this share from a rest to the lower of the peaks around it, and ends at this
# share of the last peak.
ONSET_SHARE, END_SHARE = 0.25, 0.3
# The logarithm of how many times more moves in a stroke than in the rest before it, at most.
MAX_STRENGTH = 2.5
# An episode ends at rest if its last motion is below this share of its largest.
FINAL_REST_SHARE = 0.35
NUM_COMPONENTS = 8
# Directions whose squared length is below this share of the longest's are rounding.
MIN_SQUARE = 1e-12
PATCHES_AT_ONCE = 16


@dataclass(frozen=True)
class Motion:
    """The motion of one episode of T frames.

    Attributes:
        amount: float64 (T-1,), the mean of 1 - cos over patches, from frame t to frame t+1.
        moving: float64 (T-1, D), the unit patch features of frame t+1, summed with their share of ``amount``.
        similarity: float64 (T, T), mean patch cosine of each two frames.
    """

    amount: np.ndarray
    moving: np.ndarray
    similarity: np.ndarray

    @property
    def level(self) -> np.ndarray:
        """float64 (T-1,): ``amount`` as a share of what is usual in a stroke; 0 where nothing moves at all."""
        usual = _usual(self.amount)
        return self.amount / usual if usual >= MIN_MOTION else np.zeros(len(self.amount))


def motion_of(features: Tensor) -> Motion:
    """Motion of features (T, P, D) with T >= 2."""
    amount, moving = [], []
    for change, after in _changes(features):
        amount.append(float(change.mean()))
        moving.append((change @ after / len(change)).double().numpy())
    return Motion(np.array(amount), np.stack(moving), _similarity(features))


def patch_motion(features: Tensor) -> np.ndarray:
    """Features (T, P, D) -> float32 (T-1, P): 1 - cos of each patch, from frame t to frame t+1."""
    return np.stack([change.numpy() for change, _ in _changes(features)])


def boundary_strength(motion: Motion) -> np.ndarray:
    """Where stages may start: where motion sets off again after a rest, and where the last motion ends.

    Returns:
        float64 (T,): at the first frame that has moved again, the logarithm of how many times more moves at the lower
        of the two peaks around the rest than in the rest itself; 0 everywhere else.
    """
    strength = np.zeros(len(motion.amount) + 1)
    level = motion.level + REST_SHARE
    for rest in range(1, len(level) - 1):
        if level[rest] <= level[rest - 1] and level[rest] < level[rest + 1]:
            peak = min(_highest_before(level, rest), _highest_before(level[::-1], len(level) - 1 - rest))
            if peak < MIN_STROKE:
                continue
            is_moving = level[rest:] >= level[rest] + ONSET_SHARE * (peak - level[rest])
            onset = rest + int(np.argmax(is_moving)) + 1
            strength[onset] = max(strength[onset], np.log(peak / level[rest]))
    if motion.level.any() and not ends_in_motion(motion):
        peak, end = end_of_motion(motion)
        strength[end] = max(strength[end], np.log(level[peak] / level[-1]))
        strength[end + 1 :] = 0
    return np.minimum(strength, MAX_STRENGTH)


def ends_in_motion(motion: Motion) -> bool:
    """Whether the episode is over before its last stroke is: success came under way."""
    level = motion.level
    return bool(level[-1] >= FINAL_REST_SHARE * level.max() > 0)


def end_of_motion(motion: Motion) -> tuple[int, int]:
    """The last peak, and the first frame after it in which little moves any more."""
    level = motion.level + REST_SHARE
    peak = int(np.flatnonzero(level >= 0.4 * min(1.0, level.max()))[-1])
    while peak > 0 and level[peak - 1] > level[peak]:
        peak -= 1
    is_low = level[peak:] <= END_SHARE * level[peak]
    return peak, peak + int(np.argmax(is_low)) if is_low.any() else len(level) - 1


def evidence_of(motions: Sequence[Motion], strengths: Sequence[np.ndarray]) -> list[Evidence]:
    """What the episodes of a task say about their boundaries, in terms that they share.

    Args:
        motions: of each episode.
        strengths: (T_e,) of each, how much a frame looks like the first of a stage.
    """
    total = sum(motion.amount.sum() for motion in motions)
    mean = sum(motion.moving.sum(axis=0) for motion in motions) / max(total, MIN_MOTION)
    # What moves, without what always moves.
    deviations = [motion.moving - motion.amount[:, None] * mean for motion in motions]
    scaled = [
        own / np.sqrt(np.maximum(m.amount, MIN_MOTION))[:, None] for own, m in zip(deviations, motions, strict=True)
    ]
    components = principal_directions(np.concatenate(scaled))
    return [
        Evidence(strength, _position(motion), _summed(own @ components.T))
        for strength, motion, own in zip(strengths, motions, deviations, strict=True)
    ]


def principal_directions(rows: np.ndarray) -> np.ndarray:
    """(N, D) -> (C, D), the C <= 8 directions in which the rows are longest: their first right singular vectors."""
    # The last eigenvectors of the smaller of two products: what a whole decomposition takes five times as long for.
    is_wide = len(rows) < rows.shape[1]
    product = rows @ rows.T if is_wide else rows.T @ rows
    size = len(product)
    squares, vectors = eigh(product, subset_by_index=(max(size - NUM_COMPONENTS, 0), size - 1))
    vectors = vectors[:, squares > MIN_SQUARE * squares[-1]]
    return _rows_of_length_one(vectors.T @ rows) if is_wide else vectors.T


def _position(motion: Motion) -> np.ndarray:
    """(T, 4): shares of motion and of time gone by, and how near the last and how far from the first frame is."""
    path = _summed(np.sqrt(np.maximum(motion.amount - REST_SHARE * _usual(motion.amount), 0)))
    time = np.arange(len(path)) / (len(path) - 1)
    near, far = motion.similarity[-1] - motion.similarity[-1].min(), 1 - motion.similarity[0]
    columns = (path, time, near * np.sqrt(0.5), far * np.sqrt(0.5))
    scales = (path.max(), 1.0, near.max(), far.max())
    return np.stack([column / max(scale, 1e-9) for column, scale in zip(columns, scales, strict=True)], axis=1)


def _usual(amount: np.ndarray) -> float:
    return max(float(np.quantile(amount, USUAL_QUANTILE)), USUAL_SHARE * float(amount.max()))


def _highest_before(level: np.ndarray, rest: int) -> float:
    """The highest level before a rest, as far back as it stays above the rest."""
    below = np.flatnonzero(level[:rest] < level[rest])
    start = int(below[-1]) + 1 if len(below) else 0
    return float(level[start : rest + 1].max())


def _rows_of_length_one(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _summed(steps: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((1, *steps.shape[1:])), np.cumsum(steps, axis=0)])


def _changes(features: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """1 - cos of each patch (P,) from a frame to the next, and the next one's unit features (P, D)."""
    before = _unit(features[0])
    for frame in features[1:]:
        after = _unit(frame)
        yield (1 - (before * after).sum(-1)).clamp(min=0), after
        before = after


def _unit(patches: Tensor) -> Tensor:
    return torch.nn.functional.normalize(patches.float().cpu(), dim=-1)


def _similarity(features: Tensor) -> np.ndarray:
    """(T, T), from a few patches of all frames at a time."""
    total = torch.zeros(len(features), len(features))
    for patches in torch.split(features, PATCHES_AT_ONCE, dim=1):
        unit = _unit(patches).flatten(1)
        total += unit @ unit.T
    return (total / features.shape[1]).double().numpy()
