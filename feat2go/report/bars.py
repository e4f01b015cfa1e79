"""Success rates with their intervals as small inline drawings."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from feat2go.report.text import interval, percent
from feat2go.rollouts.tables import SuccessRate

WIDTH, ROW, LEFT, RIGHT = 400, 26, 64, 20


def interval_rows(rates: Sequence[tuple[str, str, SuccessRate]]) -> str:
    """Rows of a label, a colour and a rate on a common axis from 0 to 100 %."""
    label = "; ".join(f"{name}: {percent(rate.rate)}, 95 % interval {interval(rate)}" for name, _, rate in rates)
    height = ROW * len(rates)
    ticks = "".join(
        f'<line x1="{_x(share):g}" x2="{_x(share):g}" y1="0" y2="{height}" class="tick"/>'
        f'<text x="{_x(share):g}" y="{height + 14}" class="axis" text-anchor="middle">{100 * share:.0f} %</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    marks = "".join(_row(i, name, colour, rate) for i, (name, colour, rate) in enumerate(rates))
    return (
        f'<svg class="rates" viewBox="0 0 {WIDTH} {height + 20}" role="img" aria-label="{escape(label)}">'
        f"{ticks}{marks}</svg>"
    )


def _row(i: int, name: str, colour: str, rate: SuccessRate) -> str:
    y = ROW * i + ROW / 2
    return (
        f'<text x="0" y="{y + 4:g}" class="name">{escape(name)}</text>'
        f'<line x1="{_x(rate.low):.1f}" x2="{_x(rate.high):.1f}" y1="{y:g}" y2="{y:g}" stroke="{colour}" '
        'stroke-width="7" stroke-linecap="round" opacity="0.3"/>'
        f'<circle cx="{_x(rate.rate):.1f}" cy="{y:g}" r="5" fill="{colour}"/>'
    )


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)
