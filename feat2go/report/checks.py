"""What a run has to be asked before its success is believed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from feat2go.report.metrics import Metrics
from feat2go.report.text import count, number, percent, points

# A third of a run is its start, another its end; with fewer rollouts than this, their means say little.
MIN_ROLLOUTS = 6
# Below this, on a scale from 0 to 1, the predicted value of failures has not risen.
MIN_VALUE_RISE = 0.1
# Below this, success is called flat.
MIN_SUCCESS_RISE = 0.05
# Below this, failures look like successes.
MIN_GAP = 0.1
MAX_RATIO_ERROR = 0.05


class Check(NamedTuple):
    """An answer, in a word and in a sentence."""

    title: str
    verdict: Literal["ok", "warning", "unknown"]
    text: str


def reward_hacking(metrics: Metrics) -> Check:
    """Whether failures look better and better to the value model while success stays flat.

    Means over the first and the last third of the rollouts are compared, each over the rollouts that have the number.
    """
    title = "Reward hacking"
    value = metrics.series("rollout/terminal_value_failure").y
    success = metrics.series("rollout/success").y
    if not len(value):
        return Check(
            title, "unknown", "No predicted terminal values of failures were logged; set data.value_model in the fit."
        )
    if min(len(value), len(success)) < MIN_ROLLOUTS:
        return Check(
            title, "unknown", f"Too early to say: fewer than {MIN_ROLLOUTS} rollouts with failures that ended in them."
        )
    (value_start, value_end), (success_start, success_end) = _ends(value), _ends(success)
    text = (
        f"From the first to the last third of the rollouts, the predicted terminal value of failures went from "
        f"{number(value_start)} to {number(value_end)}, and success from {percent(success_start)} to "
        f"{percent(success_end)} ({points(success_end - success_start)})."
    )
    if value_end - value_start < MIN_VALUE_RISE:
        return Check(title, "ok", f"{text} Failures have not come to look better to the value model.")
    if success_end - success_start >= MIN_SUCCESS_RISE:
        return Check(title, "ok", f"{text} Failures look better to the value model, but success rose as well.")
    return Check(
        title,
        "warning",
        f"{text} Failures look better and better while success is flat: the policy may be exploiting the value model. "
        "Near misses would look the same; watch failed episodes before believing either.",
    )


def separation(metrics: Metrics) -> Check:
    """Whether the value model tells failures from successes, over the last third of the rollouts that have both.

    Where it does not, failures can't come to look much better, and :func:`reward_hacking` sees nothing.
    """
    title = "Failures and successes apart"
    failure, success = (metrics.series(f"rollout/terminal_value_{name}").y for name in ("failure", "success"))
    if min(len(failure), len(success)) < MIN_ROLLOUTS:
        return Check(title, "unknown", f"Fewer than {MIN_ROLLOUTS} rollouts have predicted values of both.")
    failure_end, success_end = _ends(failure)[1], _ends(success)[1]
    text = (
        f"Over the last third of the rollouts, the predicted terminal value is {number(success_end)} for successes and "
        f"{number(failure_end)} for failures."
    )
    if success_end - failure_end >= MIN_GAP:
        return Check(title, "ok", text)
    return Check(title, "warning", f"{text} The value model hardly tells them apart, so its reward can't teach much.")


def first_ratio(metrics: Metrics) -> Check:
    """Whether the importance ratios right after each rollout were 1."""
    title = "First importance ratio"
    error, num_updates = metrics.series("train/first_ratio_error").y, len(metrics.series("train/samples_per_s").y)
    if not len(error):
        return Check(title, "unknown", "train/first_ratio_error was not logged.")
    text = f"Right after a rollout, importance ratios were at most {number(error.max())} away from 1 on average"
    # Not a number is no agreement either.
    if error.max() <= MAX_RATIO_ERROR and len(error) >= num_updates:
        return Check(title, "ok", f"{text}, in {count(len(error), 'rollout')}; up to {MAX_RATIO_ERROR} is tolerated.")
    lost = f", and not a number in {count(num_updates - len(error), 'rollout')}" if num_updates > len(error) else ""
    return Check(
        title,
        "warning",
        f"{text}{lost}; up to {MAX_RATIO_ERROR} is tolerated. The log-probs of rollout and update disagree, and this "
        "run can't be trusted.",
    )


def _ends(values: np.ndarray) -> tuple[float, float]:
    third = len(values) // 3
    return float(values[:third].mean()), float(values[-third:].mean())
