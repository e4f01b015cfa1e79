"""The top of the page: what came of it."""

from __future__ import annotations

from html import escape

from feat2go.report.bars import interval_rows
from feat2go.report.comparison import Comparison, comparisons, sparse_note, verdict
from feat2go.report.drawing import BLUE, MUTED
from feat2go.report.html import missing, paragraph, section
from feat2go.report.runs import Runs
from feat2go.report.text import count, interval, percent
from feat2go.rollouts.tables import SuccessRate


def headline(runs: Runs) -> str:
    """Success before and after reinforcement learning, with intervals and in plain words."""
    found = comparisons(runs)
    parts = [_comparison(pair) for pair in found] or [_no_comparison(runs)]
    if runs.fits_of("rl"):
        parts.append(paragraph(sparse_note(runs, found), "note"))
    return section("Before and after reinforcement learning", "headline", "\n".join(parts))


def _comparison(pair: Comparison) -> str:
    seeds = pair.after.rows[0].setting or "unnamed"
    temperature = str(pair.after.metadata.get("temperature", ""))
    acting = "greedy" if temperature in ("0", "0.0") else f"temperature {temperature}"
    conditions = (
        f"{pair.after.task}, {count(len(pair.after.rows), 'episode')} with {seeds} seeds, {acting}, each run to its "
        f"time limit. “Before” is the policy {pair.before.checkpoint}; “after” is {pair.after.checkpoint}, "
        f"which began as that one and was trained with the reward {pair.fit.reward or 'of an unknown kind'}. "
        "Bars and brackets are Wilson's 95 % intervals."
    )
    before, after = pair.before.summary, pair.after.summary
    cards = _card("Success at any time", "success_once", before.success_once, after.success_once, pair) + _card(
        "Success at the end", "success_at_end", before.success_at_end, after.success_at_end, pair
    )
    return f'{paragraph(conditions, "lead")}<div class="cards">{cards}</div>'


def _card(title: str, column: str, before: SuccessRate, after: SuccessRate, pair: Comparison) -> str:
    differences = pair.differences
    words = (
        f"Not the same conditions ({', '.join(differences)} differ), so the two can't be compared."
        if differences
        else verdict(before, after)
    )
    bars = interval_rows([("before", MUTED, before), ("after", BLUE, after)])
    counts = (
        f"{before.num_successes} of {before.num_episodes}, {interval(before)} → "
        f"{after.num_successes} of {after.num_episodes}, {interval(after)}"
    )
    return (
        f'<div class="card"><h3>{title} <code>{column}</code></h3>'
        f'<p class="big"><span class="from">{percent(before.rate)}</span> <span class="arrow">→</span> '
        f"{percent(after.rate)}</p>{bars}"
        f'<p class="counts">{escape(counts)}</p><p>{escape(words)}</p></div>'
    )


def _no_comparison(runs: Runs) -> str:
    if not runs.evaluations:
        return missing(
            "No evaluation was found, so there is nothing to say about success.",
            "feat2go evaluate --config configs/evaluate_TASK.yaml --checkpoint=RUN --output=FOLDER",
        )
    if not runs.fits_of("rl"):
        return missing(
            "No run of reinforcement learning is among the given folders, so which evaluation came before and which "
            "after it isn't known; the table below has all of them."
        )
    return missing(
        "The policy that reinforcement learning started from and the one that it left were not both evaluated; the "
        "table below has what there is.",
        "feat2go evaluate --config configs/evaluate_TASK.yaml --checkpoint=RUN --output=FOLDER",
    )
