"""Confidence intervals of success rates and of their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a success probability, without continuity correction.

    With p = successes / trials, n = trials and z the (1 + level) / 2 quantile of the normal distribution, it is

        (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n).

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        ValueError: without trials, for more successes than trials, or for a level outside (0, 1).
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"an interval needs 0 <= successes <= trials and trials >= 1; got {successes} of {trials}")
    if not 0 < level < 1:
        raise ValueError(f"level is a probability in (0, 1), such as 0.95; got {level}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = successes / trials
    centre = p + z**2 / (2 * trials)
    margin = z * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # Exact at the borders, where rounding would leave a trace.
    low = 0.0 if successes == 0 else (centre - margin) / scale
    high = 1.0 if successes == trials else (centre + margin) / scale
    return low, high


def interval_of_mean(estimates: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """An interval of the plain mean of independent estimates, from their own intervals.

    With estimates e_i in [l_i, u_i] and k of them, it is

        (ē - √(Σ (e_i - l_i)²) / k,  ē + √(Σ (u_i - e_i)²) / k).

    Unlike a bootstrap, it does not shrink to a point where every episode succeeded.

    Source: G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures: a general approach",
    Statistics in Medicine 27 (2008).

    Args:
        estimates: (estimate, lower end, upper end), all at the same level.

    Raises:
        ValueError: without estimates.
    """
    if not estimates:
        raise ValueError("the mean of no estimates has no interval")
    mean = math.fsum(estimate for estimate, _, _ in estimates) / len(estimates)
    below = math.hypot(*(estimate - low for estimate, low, _ in estimates)) / len(estimates)
    above = math.hypot(*(high - estimate for estimate, _, high in estimates)) / len(estimates)
    return mean - below, mean + above
