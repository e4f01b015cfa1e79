"""The audit: methods, their stages and targets, and every measure of them with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from feat2go.progress.audit.bootstrap import (
    NUM_RESAMPLES,
    Draws,
    Estimate,
    Statistic,
    bootstrap,
    mean_of,
    mean_over_groups,
    resample,
)
from feat2go.progress.audit.consistency import explained_statistic, spread_statistic
from feat2go.progress.audit.failures import Neighbours, auroc
from feat2go.progress.audit.methods import Given, Labelled, Method, Reversed, StepsToGo, label_by_task
from feat2go.progress.audit.order import milestone_progress
from feat2go.progress.audit.sample import Sample
from feat2go.progress.audit.scores import (
    Cutter,
    CutterScores,
    event_auroc,
    failure_scores,
    milestone_scores,
    order_scores,
    read_values,
)


@dataclass(frozen=True)
class Audit:
    """What :func:`audit` found.

    Attributes:
        samples: the successful episodes.
        labelled: method -> stages and target of each of them.
        scores: method -> of each of them, metric -> value.
        estimates: method -> metric -> figure with its interval.
        differences: method -> metric -> the first method's figure minus this one's, on the same episodes.
    """

    samples: Sequence[Sample]
    labelled: Mapping[str, Sequence[Labelled]]
    scores: Mapping[str, Sequence[Mapping[str, float]]]
    estimates: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Mapping[str, Estimate]]


def audit(
    samples: Sequence[Sample],
    methods: Mapping[str, Method],
    cutters: Mapping[str, Cutter],
    failed: Sequence[Sample] = (),
    num_resamples: int = NUM_RESAMPLES,
    on_method: Callable[[str], None] | None = None,
) -> Audit:
    """Measure what targets and stages are worth; docs/audit.md says what each metric is.

    Args:
        samples: successful episodes, of one task or of several. Stages are shared within a task.
        methods: name -> method. All others are compared with the first.
        cutters: name -> how many stages -> a clustering that makes as many, for ``boundary_f1_<name>``.
        failed: failed episodes of the same tasks.
        num_resamples: of the bootstrap.
        on_method: called with the name of each method when it is done.

    Raises:
        ValueError: without samples or methods, or if two samples share a uid.
    """
    _require(samples, methods)
    tasks = [sample.task for sample in samples]
    resamples = resample(tasks, num_resamples)
    neighbours = _neighbours(samples, failed)
    cutter_scores = CutterScores(cutters)
    elapsed = label_by_task(StepsToGo(), samples)
    labelled: dict[str, list[Labelled]] = {}
    scores: dict[str, list[dict[str, float]]] = {}
    draws: dict[str, dict[str, Draws]] = {}
    for name, method in methods.items():
        own = labelled[name] = label_by_task(method, samples)
        backward = _backward(method, samples)
        values, failed_values = read_values(neighbours, tasks, own)
        scores[name] = [
            order_scores(own[row], backward[row])
            | milestone_scores(sample, own[row])
            | cutter_scores.scores(sample, own[row].stages.num_stages)
            | failure_scores(values[row])
            for row, sample in enumerate(samples)
        ]
        statistics = _means(scores[name]) | {
            "milestone_spread": _spread(samples, own),
            "elapsed_spread": _spread(samples, elapsed),
            "explained_variance": _explained(samples, own),
            "event_auroc": event_auroc(values),
        }
        if failed:
            statistics["failed_auroc"] = _failed_auroc(values, failed_values)
        draws[name] = {metric: bootstrap(statistic, resamples) for metric, statistic in statistics.items()}
        if on_method is not None:
            on_method(name)
    first = next(iter(methods))
    return Audit(
        samples=samples,
        labelled=labelled,
        scores=scores,
        estimates={name: _estimates(own) for name, own in draws.items()},
        differences={name: _estimates(_minus(draws[first], own)) for name, own in draws.items() if name != first},
    )


def _require(samples: Sequence[Sample], methods: Mapping[str, Method]) -> None:
    if not samples:
        raise ValueError("there is nothing to audit: no episode succeeded, and only those have a goal")
    if not methods:
        raise ValueError("there is nothing to audit: no method was given")
    uids = [sample.uid for sample in samples]
    if len(set(uids)) < len(uids):
        raise ValueError(f"episode '{next(uid for uid in uids if uids.count(uid) > 1)}' appears twice")


def _backward(method: Method, samples: Sequence[Sample]) -> list[Labelled]:
    """Of the episodes played backward. Values that are given belong to their frames."""
    if isinstance(method, Given):
        return label_by_task(Reversed(method), samples)
    return label_by_task(method, [sample.backward() for sample in samples])


def _neighbours(samples: Sequence[Sample], failed: Sequence[Sample]) -> dict[str, Neighbours]:
    return {
        task: Neighbours(
            [sample.features for sample in samples if sample.task == task],
            [sample.features for sample in failed if sample.task == task],
        )
        for task in dict.fromkeys(sample.task for sample in samples)
    }


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, Statistic]:
    """The mean over episodes of every metric that at least one episode has."""
    names = dict.fromkeys(name for row in scores for name in row)
    return {name: mean_of([row.get(name, float("nan")) for row in scores]) for name in names}


def _spread(samples: Sequence[Sample], labelled: Sequence[Labelled]) -> Statistic:
    """Averaged over tasks. A milestone that is the last frame of every episode is success, and says nothing."""
    parts = []
    for members in _rows_by_task(samples):
        names = dict.fromkeys(name for row in members for name in samples[row].milestones)
        table = np.full((len(samples), len(names)), np.nan)
        for column, name in enumerate(names):
            frames = {row: samples[row].milestones[name] for row in members if name in samples[row].milestones}
            if any(frame < len(samples[row]) - 1 for row, frame in frames.items()):
                table[list(frames), column] = [labelled[row].target[frame] for row, frame in frames.items()]
        parts.append(spread_statistic(members, table))
    return mean_over_groups(parts)


def _explained(samples: Sequence[Sample], labelled: Sequence[Labelled]) -> Statistic:
    """Averaged over tasks, of the episodes with milestones."""
    targets = [own.target for own in labelled]
    progress = [milestone_progress(sample.inner_milestones, len(sample)) for sample in samples]
    for row, sample in enumerate(samples):
        if not sample.inner_milestones:
            targets[row] = progress[row] = np.empty(0)
    tasks = [rows for rows in _rows_by_task(samples) if any(samples[row].inner_milestones for row in rows)]
    return mean_over_groups([explained_statistic(rows, targets, progress) for rows in tasks])


def _rows_by_task(samples: Sequence[Sample]) -> list[list[int]]:
    tasks = dict.fromkeys(sample.task for sample in samples)
    return [[row for row, sample in enumerate(samples) if sample.task == task] for task in tasks]


def _failed_auroc(values: Sequence[np.ndarray], failed_values: Sequence[np.ndarray]) -> Statistic:
    """The failed episodes are not resampled: there may be few."""
    ends = np.array([own[-1] for own in values])
    failed_ends = np.array([own[-1] for own in failed_values])
    return lambda rows: np.array([auroc(ends[row], failed_ends) for row in rows])


def _minus(left: Mapping[str, Draws], right: Mapping[str, Draws]) -> dict[str, Draws]:
    return {metric: left[metric].minus(right[metric]) for metric in left if metric in right}


def _estimates(draws: Mapping[str, Draws]) -> dict[str, Estimate]:
    return {metric: own.estimate() for metric, own in draws.items()}
