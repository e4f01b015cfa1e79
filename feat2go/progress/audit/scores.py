"""Everything that is measured of one method, episode by episode and over a task's episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from feat2go.core.ordering import pair_accuracy, voc
from feat2go.core.protocols import Clustering
from feat2go.progress.audit import agreement
from feat2go.progress.audit.bootstrap import Statistic
from feat2go.progress.audit.failures import (
    EVENTS,
    FAILURES,
    Neighbours,
    auroc,
    event_frame,
    event_order,
)
from feat2go.progress.audit.methods import Labelled
from feat2go.progress.audit.order import max_drawdown, milestone_progress, violation_rate
from feat2go.progress.audit.sample import Sample
from feat2go.progress.boundaries import boundary_f1

TOLERANCE, WIDE_TOLERANCE = 2, 5
NUM_RANDOM_CUTS = 20

# How many stages -> a clustering that makes as many.
Cutter = Callable[[int], Clustering]


def order_scores(labelled: Labelled, backward: Labelled) -> dict[str, float]:
    """How the target runs through one episode.

    Args:
        labelled: of the episode.
        backward: of the same episode played backward. A method that only follows time calls that a success too: its
            ``voc_reversed`` is near 1, that of one that looks at the content near -1.
    """
    target = labelled.target
    return {
        "voc": voc(target),
        "voc_reversed": voc(backward.target),
        "pair_accuracy": pair_accuracy(target),
        "violation_rate": violation_rate(target),
        "max_drawdown": max_drawdown(target),
        "num_stages": float(labelled.stages.num_stages),
    }


def milestone_scores(sample: Sample, labelled: Labelled) -> dict[str, float]:
    """One episode's stages and target against its milestones; empty without inner milestones."""
    reference = sample.inner_milestones
    if not reference:
        return {}
    found = labelled.inner_boundaries
    stage = labelled.stages.stage.numpy()
    wanted = agreement.stage_of_frames(reference, len(sample))
    progress = milestone_progress(reference, len(sample))
    scores = {
        "mae": float(np.abs(labelled.target - progress).mean()),
        "frame_accuracy": agreement.frame_accuracy(stage, wanted),
        "adjusted_rand": agreement.adjusted_rand(stage, wanted),
        "stage_count_error": float(abs(len(found) - len(reference))),
    }
    for suffix, tolerance in (("", TOLERANCE), (f"_at_{WIDE_TOLERANCE}", WIDE_TOLERANCE)):
        scores[f"boundary_precision{suffix}"] = agreement.boundary_precision(found, reference, tolerance)
        scores[f"boundary_recall{suffix}"] = agreement.boundary_recall(found, reference, tolerance)
        scores[f"boundary_f1{suffix}"] = boundary_f1(found, reference, tolerance)
    return scores


class CutterScores:
    """Boundary F1 of other ways to cut an episode into as many stages as a method did.

    Args:
        cutters: name -> how many stages -> a clustering.
    """

    def __init__(self, cutters: Mapping[str, Cutter]) -> None:
        self._cutters = cutters
        self._found: dict[tuple[str, str, int], list[int]] = {}

    def scores(self, sample: Sample, num_stages: int) -> dict[str, float]:
        """``boundary_f1_<name>`` and ``boundary_f1_<name>_at_5`` of one episode; empty without inner milestones."""
        reference = sample.inner_milestones
        if not reference:
            return {}
        scores = {}
        for suffix, tolerance in (("", TOLERANCE), (f"_at_{WIDE_TOLERANCE}", WIDE_TOLERANCE)):
            for name in self._cutters:
                found = self._cut(name, sample, num_stages)
                scores[f"boundary_f1_{name}{suffix}"] = boundary_f1(found, reference, tolerance)
            scores[f"boundary_f1_random{suffix}"] = random_f1(reference, len(sample), num_stages, tolerance)
        return scores

    def _cut(self, name: str, sample: Sample, num_stages: int) -> list[int]:
        key = (name, sample.uid, num_stages)
        if key not in self._found:
            stages = self._cutters[name](num_stages).segment(sample.features)
            self._found[key] = stages.boundaries.tolist()[1:-1]
        return self._found[key]


def random_f1(reference: Sequence[int], num_frames: int, num_stages: int, tolerance: int) -> float:
    """Boundary F1 of random cuts into ``num_stages`` stages, averaged over 20 draws that are always the same."""
    rng = np.random.default_rng(0)
    num_cuts = min(num_stages, num_frames) - 1
    draws = [rng.choice(np.arange(1, num_frames), num_cuts, replace=False) for _ in range(NUM_RANDOM_CUTS)]
    return float(np.mean([boundary_f1(sorted(draw.tolist()), reference, tolerance) for draw in draws]))


def failure_scores(values: np.ndarray) -> dict[str, float]:
    """What a value function says of events that were put into one successful episode.

    Args:
        values: (T,) of its frames.

    Returns:
        Of each event, ``<event>_change``: the value at the end minus the value before the event; of the drop,
        ``drop_located``: whether the steepest fall lies within two frames of it.
    """
    before = event_frame(len(values))
    scores = {
        f"{event}_change": float(values[event_order(event, len(values))[-1]] - values[before]) for event in EVENTS
    }
    shown = values[event_order("drop", len(values))]
    steepest = int(np.argmin(np.diff(shown))) if len(shown) > 1 else 0
    return scores | {"drop_located": float(abs(steepest - before) <= TOLERANCE)}


def event_auroc(values: Sequence[np.ndarray]) -> Statistic:
    """How well the last frame's value tells episodes from their drops, stalls and regressions."""
    ends = np.array([own[-1] for own in values])
    failed = np.array([[own[event_order(event, len(own))[-1]] for event in FAILURES] for own in values])

    def of(rows: np.ndarray) -> float:
        known = rows[np.isfinite(ends[rows])]
        return auroc(ends[known], failed[known].ravel())

    return lambda rows: np.array([of(row) for row in rows])


def read_values(
    neighbours: Mapping[str, Neighbours], tasks: Sequence[str], labelled: Sequence[Labelled]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values of all successful episodes and of all failed ones, each read within its task.

    Returns:
        In the order of ``tasks``; and, task after task, those of the failed episodes.
    """
    values: list[np.ndarray] = [np.empty(0)] * len(tasks)
    failed: list[np.ndarray] = []
    for task, of_task in neighbours.items():
        rows = [row for row, name in enumerate(tasks) if name == task]
        targets = [labelled[row].target for row in rows]
        for row, own in zip(rows, of_task.values(targets), strict=True):
            values[row] = own
        failed += of_task.query_values(targets)
    return values, failed
