"""Before against after: which evaluations belong together, and what may be said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feat2go.report.runs import Evaluation, Fit, Runs, refers_to, run_folder
from feat2go.report.text import count, percent, points
from feat2go.rollouts.tables import SuccessRate


@dataclass(frozen=True)
class Comparison:
    """A policy before and after reinforcement learning.

    Attributes:
        fit: the reinforcement learning between the two.
        before, after: evaluations of the policy that it started from and of the one that it left.
    """

    fit: Fit
    before: Evaluation
    after: Evaluation

    @property
    def differences(self) -> list[str]:
        """Conditions, other than the policy, in which the two evaluations differ."""
        before, after = _conditions(self.before), _conditions(self.after)
        return [name for name in before if before[name] != after[name]]


def _conditions(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "task": evaluation.task,
        "episodes": {row.seed for row in evaluation.rows},
        "temperature": evaluation.metadata.get("temperature"),
    }


def comparisons(runs: Runs) -> list[Comparison]:
    """Every RL fit of which both the start and the result were evaluated, by the paths that its config names.

    Where there are several evaluations of one policy, the pair with the fewest differences is taken.
    """
    found = []
    for fit in runs.fits_of("rl"):
        start = str(fit.setting("model", "init_args", "initial_policy") or "")
        pairs = [
            Comparison(fit, before, after)
            for before in runs.evaluations
            for after in runs.evaluations
            if start and before.checkpoint and run_folder(before.checkpoint) == run_folder(start)
            if refers_to(after.checkpoint, fit.path)
        ]
        if pairs:
            found.append(min(pairs, key=lambda pair: len(pair.differences)))
    return found


def overlap(a: SuccessRate, b: SuccessRate) -> bool:
    """Whether two intervals have a point in common."""
    return a.low <= b.high and b.low <= a.high


def verdict(before: SuccessRate, after: SuccessRate) -> str:
    """What two success rates of comparable evaluations say, in plain words."""
    change = f"{points(after.rate - before.rate)}. "
    if before.rate == after.rate:
        return "No change."
    if overlap(before, after):
        return change + "The intervals overlap, so these episodes alone do not show a difference."
    direction = "rise" if after.rate > before.rate else "fall"
    return change + f"The intervals do not overlap: the choice of episodes hardly explains the {direction}."


def sparse_note(runs: Runs, found: list[Comparison]) -> str:
    """What can be said against plain success as the reward."""
    sparse = [pair for pair in found if pair.fit.reward == "Sparse"]
    others = [pair for pair in found if pair.fit.reward != "Sparse"]
    if not any(fit.reward == "Sparse" for fit in runs.fits_of("rl")):
        return (
            "A comparison with the sparse reward (success alone, without a value model) was not part of this run, so "
            "nothing here says that the value model's reward did better than that."
        )
    if not sparse or not others:
        return (
            "A run with the sparse reward is among these runs, but not all that it would be compared with was "
            "evaluated, so nothing here says which reward did better."
        )
    return " ".join(_against_sparse(other, arm) for other in others for arm in sparse)


def _against_sparse(other: Comparison, sparse: Comparison) -> str:
    a, b = other.after.summary.success_once, sparse.after.summary.success_once
    text = (
        f"With the sparse reward ({sparse.fit.name}), success at any time after training is {percent(b.rate)}; "
        f"with {other.fit.reward} ({other.fit.name}) it is {percent(a.rate)}. "
    )
    if Comparison(other.fit, sparse.after, other.after).differences:
        return text + "The two were not evaluated under the same conditions, so they can't be compared."
    if overlap(a, b):
        return text + "The intervals overlap: these episodes do not show that one reward did better."
    better = other if a.rate > b.rate else sparse
    return text + f"The intervals do not overlap: {better.fit.name} did better, in {count(1, 'run')} of each."
