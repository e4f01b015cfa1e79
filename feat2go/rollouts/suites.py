"""A policy on every setting of a suite, and the table of its success rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feat2go.core.intervals import interval_of_mean
from feat2go.core.suites import IN_DISTRIBUTION, Suite
from feat2go.core.types import EvaluationRow
from feat2go.rollouts.tables import Summary, summarise


@dataclass(frozen=True)
class Rate:
    """A success rate, or a plain mean of some, with its 95 % interval."""

    rate: float
    low: float
    high: float

    @classmethod
    def mean_of(cls, rates: Sequence[Rate]) -> Rate:
        """The plain mean: every setting, or category, counts the same."""
        low, high = interval_of_mean([(rate.rate, rate.low, rate.high) for rate in rates])
        return cls(sum(rate.rate for rate in rates) / len(rates), low, high)


@dataclass(frozen=True)
class SuiteLine:
    """One line of a suite's table.

    Attributes:
        name: a setting, a category, or ``"mean"``.
        is_category: a mean over settings or categories.
        success_once, success_at_end: the rates.
    """

    name: str
    is_category: bool
    success_once: Rate
    success_at_end: Rate


def summarise_suite(rows: Sequence[EvaluationRow], suite: Suite) -> list[SuiteLine]:
    """Each category followed by its settings; last the mean of the categories that are out of distribution, if any.

    Args:
        rows: episodes of every setting of the suite; others are ignored.
        suite: says what belongs together.

    Raises:
        ValueError: naming a setting without episodes.
    """
    lines: list[SuiteLine] = []
    out_of_distribution: list[SuiteLine] = []
    # Categories in the order of their first setting.
    categories = dict.fromkeys(setting.category for setting in suite.settings)
    for category in categories:
        names = [setting.name for setting in suite.settings if setting.category == category]
        settings = [_line_of(name, rows) for name in names]
        lines += [mean := _mean_line(category, settings), *settings]
        if category != IN_DISTRIBUTION:
            out_of_distribution.append(mean)
    if out_of_distribution:
        lines.append(_mean_line("mean of " + ", ".join(line.name for line in out_of_distribution), out_of_distribution))
    return lines


def _line_of(name: str, rows: Sequence[EvaluationRow]) -> SuiteLine:
    own = [row for row in rows if row.setting == name]
    if not own:
        raise ValueError(f"there are no episodes of the setting '{name}'")
    summary = summarise(own)
    return SuiteLine(name, False, *(_rate(summary, kind) for kind in ("success_once", "success_at_end")))


def _rate(summary: Summary, kind: str) -> Rate:
    counted = getattr(summary, kind)
    return Rate(counted.rate, counted.low, counted.high)


def _mean_line(name: str, lines: Sequence[SuiteLine]) -> SuiteLine:
    return SuiteLine(
        name,
        True,
        Rate.mean_of([line.success_once for line in lines]),
        Rate.mean_of([line.success_at_end for line in lines]),
    )
