"""Intervals by resampling whole episodes: the frames of one are anything but independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 1000

# Indices of episodes (R, E), with repetitions -> a figure of each of the R datasets, (R,).
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        mean: of all episodes. NaN where no episode has one.
        low, high: ends of the bootstrap interval, around ``mean``.
    """

    mean: float
    low: float
    high: float


def resample(groups: Sequence[str], num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> np.ndarray:
    """Indices of resampled episodes, drawn with replacement within each group, the same for the same seed.

    Args:
        groups: of each of E episodes, its task.
        num_resamples: R.
        seed: of the draws.

    Returns:
        int64 (R, E).
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((num_resamples, len(groups)), np.int64)
    names = np.asarray(groups)
    for name in dict.fromkeys(groups):
        members = np.flatnonzero(names == name)
        drawn[:, members] = members[rng.integers(len(members), size=(num_resamples, len(members)))]
    return drawn


@dataclass(frozen=True)
class Draws:
    """A figure of all episodes, and of R resampled datasets.

    Attributes:
        whole: of all episodes.
        drawn: float64 (R,).
    """

    whole: float
    drawn: np.ndarray

    def minus(self, other: Draws) -> Draws:
        """The paired difference: both figures must be of the same resamples."""
        return Draws(self.whole - other.whole, self.drawn - other.drawn)

    def estimate(self, level: float = 0.95) -> Estimate:
        """The figure with its percentile interval, widened where needed to hold it. Draws that are NaN are left out.

        Source: B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
        """
        finite = self.drawn[np.isfinite(self.drawn)]
        if not np.isfinite(self.whole) or len(finite) == 0:
            return Estimate(self.whole, self.whole, self.whole)
        low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
        return Estimate(self.whole, min(float(low), self.whole), max(float(high), self.whole))


def bootstrap(statistic: Statistic, resamples: np.ndarray) -> Draws:
    """A figure of all episodes and of every resample (R, E) of :func:`resample`."""
    whole = statistic(np.arange(resamples.shape[1])[None])
    return Draws(float(whole[0]), statistic(resamples))


def mean_of(values: Sequence[float] | np.ndarray) -> Statistic:
    """The statistic "mean over episodes" of one value per episode; NaN stands for "has none"."""
    array = np.asarray(values, np.float64)
    is_known = np.isfinite(array)
    filled = np.where(is_known, array, 0.0)

    def statistic(rows: np.ndarray) -> np.ndarray:
        counts = is_known[rows].sum(axis=1)
        return np.where(counts > 0, filled[rows].sum(axis=1) / np.maximum(counts, 1), np.nan)

    return statistic


def mean_over_groups(parts: Sequence[Statistic]) -> Statistic:
    """The mean of several statistics, leaving out those that are NaN."""

    def statistic(rows: np.ndarray) -> np.ndarray:
        figures = np.stack([part(rows) for part in parts]) if parts else np.full((1, len(rows)), np.nan)
        return mean_of_known(figures)

    return statistic


def mean_of_known(figures: np.ndarray) -> np.ndarray:
    """(G, R) -> (R,): the mean over the first axis without NaN; NaN where there is nothing else."""
    is_known = np.isfinite(figures)
    counts = is_known.sum(axis=0)
    return np.where(counts > 0, np.where(is_known, figures, 0).sum(axis=0) / np.maximum(counts, 1), np.nan)
