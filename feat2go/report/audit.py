"""What an audit found, as one self-contained page and as plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from feat2go.core.files import atomic_write
from feat2go.progress.audit import Audit, Estimate
from feat2go.report.drawing import COLOURS, INK, MUTED, data_uri, style
from feat2go.report.html import missing, paragraph, picture, section, table
from feat2go.report.text import NBSP, number

# How many episodes are drawn, and how many methods at once: more lines hide each other.
MAX_EPISODES, MAX_LINES = 4, 6

_ORDER = ("voc", "voc_reversed", "pair_accuracy", "violation_rate", "max_drawdown", "num_stages")
_STAGES = (
    "boundary_precision",
    "boundary_recall",
    "boundary_f1",
    "boundary_f1_uniform",
    "boundary_f1_random",
    "boundary_f1_uvd",
    "boundary_f1_change_point",
    "boundary_f1_at_5",
    "boundary_f1_uniform_at_5",
    "frame_accuracy",
    "adjusted_rand",
    "stage_count_error",
)
_MEANING = ("milestone_spread", "elapsed_spread", "explained_variance", "mae")
_FAILURES = ("event_auroc", "failed_auroc", "drop_change", "drop_located", "stall_change", "regress_change")
_CHAPTERS: tuple[tuple[str, str, Sequence[str], str], ...] = (
    (
        "Order",
        "order",
        _ORDER,
        "VOC is the rank correlation of the target with time; reversed, that of the episode played backward, where a "
        "target that looks at the content falls. Pair accuracy: of two frames, how often the later one is higher.",
    ),
    (
        "Stages against milestones",
        "stages",
        _STAGES,
        "A boundary counts as found within 2 frames (at_5: 5). boundary_f1_NAME is what another way to cut into as "
        "many stages reaches on the same episodes.",
    ),
    (
        "Consistency between episodes",
        "consistency",
        _MEANING,
        "milestone_spread is the standard deviation over episodes of the target at the same milestone; elapsed_spread "
        "is that of elapsed time on the same episodes. Low is good.",
    ),
    (
        "Failures",
        "failures",
        _FAILURES,
        "Values read from the most similar frames of other episodes' labels. The events were put into successful "
        "episodes; AUROC is of the last frame, success against drop, stall and regress.",
    ),
)


def write_audit_page(audit: Audit, folder: Path, about: Mapping[str, Any]) -> None:
    """Write ``audit.html`` and ``plots/*.png``.

    Args:
        audit: the findings.
        folder: of the page.
        about: what was audited, as in ``audit.json``.
    """
    figures = [(sample.uid, _targets(audit, row)) for row, sample in enumerate(audit.samples[:MAX_EPISODES])]
    overview = _overview(audit)
    for name, figure in (
        ("overview", overview),
        *((f"episode_{row}", figure) for row, (_, figure) in enumerate(figures)),
    ):
        with style(), atomic_write(folder / "plots" / f"{name}.png") as partial:
            figure.savefig(partial, dpi=120, facecolor="white")
    chapters = [_figures(overview, figures)]
    chapters += [_chapter(audit.estimates, *chapter) for chapter in _CHAPTERS]
    with atomic_write(folder / "audit.html") as partial:
        partial.write_text(_page("".join(chapters), about), encoding="utf-8")


def _page(chapters_html: str, about: Mapping[str, Any]) -> str:
    css = resources.files("feat2go.report").joinpath("page.css").read_text(encoding="utf-8")
    title = escape(str(about["dataset"]))
    made = escape("; ".join(f"{name}: {value}" for name, value in about.items() if value is not None))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: feat2go audit</title>
<style>
{css}</style>
</head>
<body>
<main>
<header><p class="kind">feat2go audit</p><h1>{title}</h1><p class="made">{made}</p></header>
{chapters_html}</main>
</body>
</html>
"""


def _chapter(
    estimates: Mapping[str, Mapping[str, Estimate]], title: str, anchor: str, metrics: Sequence[str], note: str
) -> str:
    shown = [name for name in metrics if any(name in own for own in estimates.values())]
    if not shown:
        return section(title, anchor, missing("No episode has milestones, so nothing of this could be measured."))
    rows = [
        [f"<code>{escape(method)}</code>", *(_cell(own.get(name)) for name in shown)]
        for method, own in estimates.items()
    ]
    bracket = " In brackets: 95 % bootstrap intervals over episodes."
    return section(title, anchor, paragraph(note + bracket, "note") + table(("method", *shown), rows, "numbers"))


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or not math.isfinite(estimate.mean):
        return "–"
    interval = f"[{number(estimate.low)},{NBSP}{number(estimate.high)}]"
    return f'{number(estimate.mean)}<br><span class="interval">{interval}</span>'


def _figures(overview: Figure, figures: Sequence[tuple[str, Figure]]) -> str:
    html = picture(data_uri(overview), "main figures of every method", "Means with 95 % intervals.", "wide")
    for uid, figure in figures:
        caption = f"Targets of <strong>{escape(uid)}</strong>; dashed: milestones."
        html += picture(data_uri(figure), f"targets of {uid}", caption, "wide")
    return section("At a glance", "glance", html)


def _overview(audit: Audit) -> Figure:
    """One row per method, one panel per main figure."""
    panels = ("voc", "pair_accuracy", "boundary_f1", "milestone_spread")
    references = {"boundary_f1": "boundary_f1_uniform", "milestone_spread": "elapsed_spread"}
    methods = list(audit.estimates)
    with style():
        figure = Figure(figsize=(9, 0.6 + 0.28 * len(methods)), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
            for row, method in enumerate(methods):
                own = audit.estimates[method]
                if name in own and math.isfinite(own[name].mean):
                    axes.plot([own[name].low, own[name].high], [row, row], color=COLOURS[0], linewidth=4, alpha=0.3)
                    axes.plot(own[name].mean, row, "o", color=COLOURS[0], markersize=5)
                reference = own.get(references.get(name, ""))
                if reference is not None and math.isfinite(reference.mean):
                    axes.plot(reference.mean, row, "|", color=COLOURS[1], markersize=11, markeredgewidth=2)
            axes.set_title(f"{name}\n| {references[name]}" if name in references else name, fontsize=8.5)
            axes.set_yticks(range(len(methods)), methods)
            axes.set_ylim(len(methods) - 0.5, -0.5)
    return figure


def _targets(audit: Audit, row: int) -> Figure:
    sample = audit.samples[row]
    with style():
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        axes = figure.subplots()
        for colour, method in zip(COLOURS[:MAX_LINES], audit.labelled, strict=False):
            axes.plot(audit.labelled[method][row].target, color=colour, label=method, linewidth=1.3)
        for name, frame in sample.milestones.items():
            axes.axvline(frame, color=MUTED, linestyle="--", linewidth=0.8)
            axes.text(frame, 1.04, name, rotation=35, fontsize=7, color=INK)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("frame")
        axes.set_ylabel("target")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)
    return figure
