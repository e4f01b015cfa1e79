"""Do frames that mean the same have the same target, in all episodes of a task?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feat2go.progress.audit.bootstrap import Statistic, mean_of_known


def milestone_spread(at_milestones: np.ndarray) -> np.ndarray:
    """How much the target differs between episodes at the same milestone.

    Args:
        at_milestones: (..., E, M), targets of E episodes of one task at M milestones; NaN where one was not reached.

    Returns:
        (...): the standard deviation over episodes (with E-1), averaged over the milestones that two episodes or more
        reached; NaN if there are none.
    """
    is_reached = np.isfinite(at_milestones)
    counts = is_reached.sum(axis=-2)
    filled = np.where(is_reached, at_milestones, 0.0)
    mean = filled.sum(axis=-2) / np.maximum(counts, 1)
    squares = np.where(is_reached, (filled - mean[..., None, :]) ** 2, 0.0).sum(axis=-2)
    deviation = np.where(counts >= 2, np.sqrt(squares / np.maximum(counts - 1, 1)), np.nan)
    return mean_of_known(np.moveaxis(deviation, -1, 0))


def spread_statistic(members: Sequence[int], at_milestones: np.ndarray) -> Statistic:
    """:func:`milestone_spread` of one task.

    Args:
        members: the rows of the task among all episodes.
        at_milestones: (E, M) of all episodes.
    """
    return lambda rows: milestone_spread(at_milestones[rows[:, list(members)]])


def explained_variance(targets: Sequence[np.ndarray], progress: Sequence[np.ndarray]) -> float:
    """Share of the target's variance over all frames of a task that milestone progress explains.

    The squared correlation of the two: what a straight line through milestone progress leaves unexplained is missing.

    Args:
        targets: (T_e,) of each episode.
        progress: (T_e,) of each, see :func:`~feat2go.progress.audit.order.milestone_progress`.

    Returns:
        In [0, 1]; 0 where either is constant, NaN without frames.
    """
    if not len(targets):
        return float("nan")
    moments = sum(_moments(x, y) for x, y in zip(progress, targets, strict=True))
    return float(_squared_correlation(np.asarray(moments)))


def explained_statistic(
    members: Sequence[int], targets: Sequence[np.ndarray], progress: Sequence[np.ndarray]
) -> Statistic:
    """:func:`explained_variance` of one task.

    Args:
        members: the rows of the task among all episodes.
        targets: (T_e,) of all episodes.
        progress: (T_e,) of all episodes.
    """
    moments = np.stack([_moments(x, y) for x, y in zip(progress, targets, strict=True)])
    return lambda rows: _squared_correlation(moments[rows[:, list(members)]].sum(axis=1))


def _moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Count and sums of one episode, (6,)."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.array([len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y])


def _squared_correlation(moments: np.ndarray) -> np.ndarray:
    """Sums (..., 6) -> (...); 0 where a variance is no more than rounding."""
    count, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    count = np.maximum(count, 1)
    var_x, var_y, cov = xx - x**2 / count, yy - y**2 / count, xy - x * y / count
    varies = (var_x > 1e-12 * xx) & (var_y > 1e-12 * yy)
    return np.where(varies, cov**2 / np.where(varies, var_x * var_y, 1.0), 0.0)
