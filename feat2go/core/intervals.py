"""Confidence intervals of success rates."""

from __future__ import annotations

import math
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
