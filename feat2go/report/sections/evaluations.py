"""Evaluations side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from feat2go.report.html import missing, paragraph, section, table, video
from feat2go.report.runs import Evaluation, Runs
from feat2go.report.text import interval, number, percent
from feat2go.rollouts.tables import SuccessRate

# Of all videos together: more would not go through by e-mail.
MAX_VIDEO_BYTES = 2_000_000

_HEADER = (
    "evaluation",
    "task",
    "seeds",
    "temp.",
    "episodes",
    "success_once",
    "success_at_end",
    "mean length",
    "V(s_T), successes",
    "V(s_T), failures",
)


def evaluations(runs: Runs) -> str:
    """A row per evaluation, and the videos."""
    if not runs.evaluations:
        html = missing(
            "No evaluation was found.",
            "feat2go evaluate --config configs/evaluate_TASK.yaml --checkpoint=RUN --output=FOLDER",
        )
        return section("Evaluations", "evaluations", html)
    note = paragraph(
        "Intervals are Wilson's, at 95 %. V(s_T) is the value model's prediction for an episode's last frame, averaged "
        "over the episodes that ended in success and over the others.",
        "note",
    )
    rows = [_row(evaluation) for evaluation in runs.evaluations]
    return section("Evaluations", "evaluations", table(_HEADER, rows, "numbers") + note + _videos(runs.evaluations))


def _row(evaluation: Evaluation) -> list[str]:
    rows, summary = evaluation.rows, evaluation.summary
    cells = [
        evaluation.name,
        evaluation.task,
        str(evaluation.metadata.get("seeds", "–")),
        str(evaluation.metadata.get("temperature", "–")),
        str(len(rows)),
    ]
    lengths = number(sum(row.length for row in rows) / len(rows))
    values = [_mean([row.terminal_value for row in rows if row.success_at_end is outcome]) for outcome in (True, False)]
    return [
        *map(escape, cells),
        _rate(summary.success_once),
        _rate(summary.success_at_end),
        lengths,
        *map(number, values),
    ]


def _rate(rate: SuccessRate) -> str:
    return f'{percent(rate.rate)}<br><span class="interval">{interval(rate)}</span>'


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _videos(found: Sequence[Evaluation]) -> str:
    labelled = [
        (path, f"{evaluation.name}, seed {row.seed}: {'success' if row.success_at_end else 'failure'} at the end")
        for evaluation in found
        for row in evaluation.rows
        if (path := evaluation.video_of(row)) is not None
    ]
    if not labelled:
        return missing("There are no videos of these evaluations; `feat2go evaluate` with num_videos > 0 makes some.")
    size = sum(path.stat().st_size for path, _ in labelled)
    if size > MAX_VIDEO_BYTES:
        folders = ", ".join(dict.fromkeys(str(path.parent) for path, _ in labelled))
        return missing(f"{len(labelled)} videos of {size / 1e6:.1f} MB together are too large for this page: {folders}")
    clips = "".join(video(path, label) for path, label in labelled)
    return f'<div class="videos"><h3>Videos</h3><div class="clips">{clips}</div></div>'
