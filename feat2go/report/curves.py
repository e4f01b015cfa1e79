"""Learning curves: one panel per question, the runs of one kind together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from feat2go.report.drawing import BLUE, COLOURS, GREEN, INK, MUTED, ORANGE, legend_above, style
from feat2go.report.metrics import Metrics, Series
from feat2go.report.runs import Fit, FitKind
from feat2go.report.text import number

# A running mean is drawn over the raw points where there are at least MIN_POINTS.
SPAN, MIN_POINTS = 5, 15
LineStyle = Literal["-", "--", ":"]
LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", ":")
# Width and height, and the margins left, right, bottom and top, in inches. Set by hand, so that plots are aligned.
SIZES = {"full": (9.5, 2.9), "half": (4.65, 2.5), "third": (3.05, 2.05)}
MARGINS = (0.5, 0.1, 0.45, 0.25)


class Line(NamedTuple):
    """One column of the log.

    Attributes:
        column: its name.
        label: what the reader is told.
        colour: where there is only one run; several runs have a colour each.
        has_interval: points, with the ends of their intervals in ``<column>_low`` and ``<column>_high``.
        has_error: shaded by what is in ``<column>_error``.
    """

    column: str
    label: str
    colour: str = BLUE
    has_interval: bool = False
    has_error: bool = False


@dataclass(frozen=True)
class Panel:
    """One small plot.

    Attributes:
        title, caption: its heading, and what to look for.
        lines: what is drawn.
        size: ``full``, ``half`` or ``third`` of the page's width.
        is_smoothed: a running mean on top of the raw points.
        limits: of the y axis; ends that are None follow the data.
        band: a range of y that is shaded.
        is_optional: whether the page says nothing where it is missing.
    """

    title: str
    caption: str
    lines: tuple[Line, ...]
    size: str = "third"
    is_smoothed: bool = False
    limits: tuple[float | None, float | None] = (None, None)
    band: tuple[float, float] | None = None
    is_optional: bool = False

    def has_data(self, fits: Sequence[Fit]) -> bool:
        """Whether any of the runs logged any of the lines."""
        return any(len(fit.metrics.series(line.column).y) for fit in fits for line in self.lines)


_RL = (
    Panel(
        "Success",
        "Share of the training episodes that ended in success, sampled; points are validations on development seeds "
        "with 95 % intervals.",
        (
            Line("rollout/success", "training episodes"),
            Line("val/success_once", "validation, success at any time", ORANGE, has_interval=True),
        ),
        "full",
        is_smoothed=True,
        limits=(-0.02, 1.02),
    ),
    Panel(
        "Return and its parts",
        "Mean reward of an episode, and what success and the value model add to it.",
        (
            Line("rollout/return", "return", INK),
            Line("rollout/reward_from_success", "from success", GREEN),
            Line("rollout/reward_from_value", "from value", ORANGE),
        ),
        "half",
        is_smoothed=True,
    ),
    Panel(
        "Predicted terminal value",
        "The value model on last frames. Failures that come to look like successes would be a warning.",
        (
            Line("rollout/terminal_value_success", "successes", BLUE),
            Line("rollout/terminal_value_failure", "failures", ORANGE),
        ),
        "half",
        is_smoothed=True,
        limits=(-0.02, 1.02),
    ),
    Panel(
        "First ratio",
        "Importance ratio right after a rollout, shaded by its mean distance from 1; has to be 1 (green: ± 0.05).",
        (Line("train/first_ratio", "first ratio", has_error=True),),
        band=(0.95, 1.05),
    ),
    Panel(
        "KL",
        "From the policy that acted to the one that learns (and to the start, where it is penalised).",
        (Line("train/kl", "to the rollout's policy"), Line("train/kl_to_start", "to the start", ORANGE)),
    ),
    Panel(
        "Clip fraction", "Share of importance ratios outside of the clip.", (Line("train/clip_fraction", "clipped"),)
    ),
    Panel(
        "Explained variance",
        "Of the returns, by the critic. 1 is perfect, 0 no better than their mean; cut off below −1.",
        (Line("train/explained_variance", "explained variance"),),
        limits=(-1.05, 1.05),
    ),
    Panel(
        "Collection speed",
        "Environment steps per second, with inference.",
        (Line("rollout/env_steps_per_s", "steps/s"),),
        limits=(0, None),
    ),
    Panel(
        "Update speed",
        "Decisions per second that the update goes through.",
        (Line("train/samples_per_s", "samples/s"),),
        limits=(0, None),
    ),
)

_VALUE = (
    Panel("Loss", "Training loss against the progress target.", (Line("train/loss", "loss"),)),
    Panel(
        "Order",
        "Held-out episodes: rank correlation with time (VOC), and how often a later frame has the higher value.",
        (Line("val/voc", "VOC"), Line("val/pair_accuracy", "pair accuracy", ORANGE)),
        limits=(None, 1.0),
    ),
    Panel(
        "Error", "Held-out episodes: mean absolute error to the target.", (Line("val/mae", "MAE"),), limits=(0, None)
    ),
)

_BC = (
    Panel(
        "Loss",
        "Negative log-likelihood of the demonstrated tokens, trained on and held out.",
        (Line("train/nll", "training"), Line("val/nll", "held out", ORANGE)),
        "half",
    ),
    Panel("Entropy", "Of the policy's action tokens.", (Line("train/entropy", "entropy"),), "half"),
    Panel(
        "Own loss",
        "Of policies without log-probs, which bring a loss of their own (flow matching), trained on and held out.",
        (Line("train/cloning_loss", "training"), Line("val/cloning_loss", "held out", ORANGE)),
        "half",
        is_optional=True,
    ),
)

PANELS: dict[FitKind, tuple[Panel, ...]] = {"rl": _RL, "value": _VALUE, "bc": _BC}


def draw_panel(panel: Panel, fits: Sequence[Fit]) -> Figure:
    """One panel with the curves of some runs of one kind.

    A single run has a colour for each line. Several have a colour each, ``COLOURS`` in turn, and a dash for each line.
    """
    is_single = len(fits) == 1
    with style():
        figure = Figure(figsize=SIZES[panel.size])
        axes = figure.add_axes(_box(*SIZES[panel.size]))
        keys: dict[str, Artist] = {}
        for r, fit in enumerate(fits):
            for k, line in enumerate(panel.lines):
                if len(fit.metrics.series(line.column).y):
                    colour, dashes = (line.colour, LINE_STYLES[0]) if is_single else (run_colour(r), LINE_STYLES[k])
                    _draw_line(axes, panel, line, fit.metrics, colour, dashes)
                    keys[line.label] = _key(line, colour if is_single else MUTED, dashes)
        _frame(axes, panel, fits[0].metrics.x_label)
        if len(keys) > 1:
            legend_above(axes, list(keys.values()), list(keys), num_columns=3)
    return figure


def _box(width: float, height: float) -> tuple[float, float, float, float]:
    left, right, bottom, top = MARGINS
    return left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height


def run_colour(place: int) -> str:
    """Of the run at this place among several."""
    return COLOURS[place % len(COLOURS)]


def describe_panel(panel: Panel, fits: Sequence[Fit]) -> str:
    """The same in words: where each curve begins and ends."""
    parts = []
    for fit in fits:
        for line in panel.lines:
            x, y = fit.metrics.series(line.column)
            if len(y):
                parts.append(
                    f"{fit.name}, {line.label}: {number(y[0])} at {number(x[0])}, {number(y[-1])} at {number(x[-1])} "
                    f"{fit.metrics.x_label}"
                )
    return f"{panel.title}. " + "; ".join(parts) + "."


def _key(line: Line, colour: str, dashes: LineStyle) -> Artist:
    if line.has_interval:
        return Line2D([], [], color=colour, marker="o", markersize=3.5, linestyle="")
    return Line2D([], [], color=colour, linestyle=dashes, linewidth=1.8)


def _draw_line(axes: Axes, panel: Panel, line: Line, metrics: Metrics, colour: str, dashes: LineStyle) -> None:
    series = metrics.series(line.column)
    if line.has_interval:
        _draw_points(axes, series, metrics, line.column, colour)
    elif panel.is_smoothed and len(series.y) >= MIN_POINTS:
        axes.plot(*series, color=colour, linewidth=0.7, alpha=0.35)
        axes.plot(series.x, running_mean(series.y), dashes, color=colour, linewidth=1.8)
    else:
        axes.plot(*series, dashes, color=colour, linewidth=1.5, marker="." if len(series.y) < 3 else None)
        error = metrics.series(f"{line.column}_error").y
        if line.has_error and len(error) == len(series.y):
            axes.fill_between(series.x, series.y - error, series.y + error, color=colour, alpha=0.2, linewidth=0)


def _draw_points(axes: Axes, series: Series, metrics: Metrics, column: str, colour: str) -> None:
    low, high = metrics.series(f"{column}_low").y, metrics.series(f"{column}_high").y
    axes.plot(*series, "o", color=colour, markersize=3.5)
    if len(low) == len(high) == len(series.y):
        axes.vlines(series.x, low, high, color=colour, linewidth=1.1)


def running_mean(values: np.ndarray) -> np.ndarray:
    """Centred mean over ``SPAN`` values (points,); over those that there are at both ends."""
    weights = np.ones(SPAN)
    return np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same")


def _frame(axes: Axes, panel: Panel, x_label: str) -> None:
    axes.set_ylim(*_limits(axes, panel))
    if panel.band:
        axes.axhspan(*panel.band, color=GREEN, alpha=0.1, linewidth=0)
    axes.set_xlabel(x_label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(8 if panel.size == "full" else 5))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _limits(axes: Axes, panel: Panel) -> tuple[float, float]:
    low, high = axes.get_ylim()
    if panel.band:
        low, high = min(low, 2 * panel.band[0] - 1), max(high, 2 * panel.band[1] - 1)
    wanted_low, wanted_high = panel.limits
    low = low if wanted_low is None else wanted_low
    return low, high + 0.05 * (high - low) if wanted_high is None else wanted_high
