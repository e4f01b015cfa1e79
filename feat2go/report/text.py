"""Numbers as a reader wants them."""

from __future__ import annotations

import math

from feat2go.rollouts.tables import SuccessRate

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def percent(share: float) -> str:
    """0.6406 -> "64.1 %"."""
    return f"{100 * share:.1f}{NBSP}%"


def points(difference: float) -> str:
    """A difference of shares: 0.5 -> "+50.0 points"."""
    sign = "+" if difference >= 0 else MINUS
    return f"{sign}{abs(100 * difference):.1f}{NBSP}points"


def interval(rate: SuccessRate) -> str:
    """Its 95 % interval: "[55.5, 71.8] %"."""
    return f"[{100 * rate.low:.1f},{NBSP}{100 * rate.high:.1f}]{NBSP}%"


def number(value: float) -> str:
    """A few significant digits; thousands are grouped, and NaN is a dash."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", MINUS)
    return f"{value:.3g}".replace("-", MINUS)


def count(amount: int, noun: str) -> str:
    """1, "run" -> "1 run"; 3, "run" -> "3 runs"."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def duration(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}{NBSP}h {minutes}{NBSP}min"
    return f"{minutes}{NBSP}min {rest}{NBSP}s" if minutes else f"{rest}{NBSP}s"
