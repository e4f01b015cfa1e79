"""How well stages and targets agree with the simulator's milestones, on development tasks and on tasks kept aside.

python benchmarks/audit_sweep.py

Scripted experts of even and of varied tempo (each phase draws its own speed from 0.4 to 1 times the usual one, after a
pause), development seeds, 128 px, dinov2_small. Every clustering with its defaults. ``--groups`` measures some tasks
and tempos, ``--methods`` some methods, and the rest stays as an earlier run found it. ``--sweep`` varies the parameters
of ``strokes``, of ``trend`` and of the target instead, one at a time, and ``--layers`` the encoder's layer, on the
development tasks only. docs/audit.md and docs/defaults.md say what was chosen; their tables are written from the JSON
by the same command. The first run spends most of its time in the simulator and in DINOv2, and keeps 2 GB under runs/;
later ones take the features of the first.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from label_defaults import embed
from record import ROOT, commit, write

from feat2go.clustering import UVD, Contacts, Pelt, Single, Strokes, Trend, TrendAgglomerative, Uniform
from feat2go.data import FolderDataset
from feat2go.encoders import CachedEncoder
from feat2go.encoders.packaged import DINOv2Small
from feat2go.envs.maniskill.env import ManiSkill
from feat2go.envs.put_on.env import PutOn
from feat2go.progress import boundary_f1, pair_accuracy, voc
from feat2go.progress.audit import Method, Sample, StepsToGo, Structural, audit, simulator_milestones
from feat2go.progress.audit.consistency import milestone_spread
from feat2go.rollouts.demonstrations import collect

DEVELOPMENT = ("PickCube-v1", "StackCube-v1", "PushCube-v1", "PutOn-v1")
KEPT_ASIDE = ("PlaceSphere-v1", "LiftPegUpright-v1", "PullCube-v1", "PokeCube-v1", "TwoRobotStackCube-v1")
TEMPOS = {"even": 1.0, "varied": 0.4}
GROUPS = tuple(f"{task}/{tempo}" for task, tempo in itertools.product((*DEVELOPMENT, *KEPT_ASIDE), TEMPOS))
TOLERANCE = 2
STROKES: dict[str, tuple[Any, ...]] = {
    "strong": (0.6, 1.3, 1.7),
    "position": (0, 4, 16),
    "change": (0, 1, 4),
    "min_stages": (2, 4),
    "min_stage": (1, 3, 4),
}
TREND: dict[str, tuple[Any, ...]] = {
    "window": (2, 5, 7),
    "quantile": (0.5, 0.6, 0.8),
    "threshold": (0.003, 0.01, 0.03),
    "min_stage": (2, 4, 5),
}
METRICS = (
    "voc",
    "voc_reversed",
    "pair_accuracy",
    "boundary_precision",
    "boundary_recall",
    "boundary_f1",
    "boundary_f1_uniform",
    "boundary_f1_random",
    "boundary_f1_change_point",
    "boundary_f1_at_5",
    "boundary_f1_uniform_at_5",
    "milestone_spread",
    "elapsed_spread",
    "explained_variance",
    "event_auroc",
    "num_stages",
)
WORK = ROOT / "runs" / "audit_sweep"


def methods() -> dict[str, Method]:
    """Every clustering with its defaults, and elapsed time."""
    clusterings = {
        "strokes": Strokes(),
        "contacts": Contacts(),
        "trend": Trend(),
        "trend_agglomerative": TrendAgglomerative(),
        "uvd": UVD(),
        "pelt": Pelt(),
        "uniform": Uniform(),
        "single": Single(),
    }
    return {name: Structural(own) for name, own in clusterings.items()} | {"steps_to_go": StepsToGo()}


def sweep() -> dict[str, Structural]:
    """Each parameter on its own around the default, of strokes and of the paper's form, with their targets."""
    settings = {"strokes": Structural(Strokes())}
    for name, values in STROKES.items():
        settings |= {f"strokes, {name}={value:g}": Structural(Strokes(**{name: value})) for value in values}
    settings |= {f"strokes, beta={beta:g}": Structural(Strokes(), beta) for beta in (1e-4, 1e-3, 1e-2)}
    settings["strokes, scope=episode"] = Structural(Strokes(), scope="episode")
    settings["trend"] = Structural(Trend())
    for name, values in TREND.items():
        settings |= {f"trend, {name}={value:g}": Structural(Trend(**{name: value})) for value in values}
    settings |= {f"trend, beta={beta:g}": Structural(Trend(beta=beta), beta) for beta in (1e-4, 1e-3, 1e-2)}
    settings["trend, reanchor=False"] = Structural(Trend(reanchor=False))
    settings["trend, scope=episode"] = Structural(Trend(), scope="episode")
    return settings


def demonstrations(task: str, tempo: str, num_episodes: int) -> FolderDataset:
    """The first successful development episodes, recorded if they aren't there."""
    folder = WORK / "data" / task / tempo
    if (folder / "dataset.json").is_file() and len(FolderDataset(folder)) >= num_episodes:
        return FolderDataset(folder)
    options: dict[str, Any] = {
        "num_envs": 1,
        "image_size": 128,
        "expert_noise": 0.05,
        "expert_tempo": TEMPOS[tempo],
    }
    env = PutOn(**options) if task == "PutOn-v1" else ManiSkill(task, **options)
    try:
        return collect(env, folder, num_episodes, "development")
    finally:
        env.close()


def samples_of(group: str, num_episodes: int, encoder: CachedEncoder) -> list[Sample]:
    """Encode the episodes of one task at one tempo."""
    task, tempo = group.split("/")
    return [
        Sample(
            episode.uid,
            task,
            encoder.encode_episode(torch.from_numpy(episode.frames["base"][:])).features,
            simulator_milestones(episode),
        )
        for episode in demonstrations(task, tempo, num_episodes)[:num_episodes]
    ]


def measure(samples: list[Sample], candidates: Mapping[str, Method]) -> dict[str, dict[str, dict[str, float]]]:
    """Method -> metric -> mean, low, high."""
    cutters = {"uniform": Uniform, "change_point": lambda num_stages: Pelt(num_stages=num_stages)}
    found = audit(samples, candidates, cutters, num_resamples=200)
    return {
        name: {
            metric: {end: round(value, 4) for end, value in asdict(own[metric]).items()}
            for metric in METRICS
            if metric in own
        }
        for name, own in found.estimates.items()
    }


def measure_quickly(samples: Sequence[Sample], method: Structural) -> dict[str, float]:
    """Means over the episodes of one group, without intervals."""
    if isinstance(method.clustering, Trend) and method.beta == 0:
        samples = [replace(sample, features=embed(sample.features)) for sample in samples]
    labelled = method.label(samples)
    targets = [own.target for own in labelled]
    frames = [sample.inner_milestones for sample in samples]
    found = [own.inner_boundaries for own in labelled]
    uniform = [
        Uniform(own.stages.num_stages).segment(sample.features).boundaries.tolist()[1:-1]
        for own, sample in zip(labelled, samples, strict=True)
    ]
    reached = sorted({name for sample in samples for name in sample.milestones})[:-1]
    at_milestones = np.array(
        [
            [target[sample.milestones[name]] if name in sample.milestones else np.nan for name in reached]
            for target, sample in zip(targets, samples, strict=True)
        ]
    )
    return {
        "voc": float(np.mean([voc(target) for target in targets])),
        "pair_accuracy": float(np.mean([pair_accuracy(target) for target in targets])),
        "boundary_f1": float(np.mean([boundary_f1(a, b, TOLERANCE) for a, b in zip(found, frames, strict=True)])),
        "boundary_f1_uniform": float(
            np.mean([boundary_f1(a, b, TOLERANCE) for a, b in zip(uniform, frames, strict=True)])
        ),
        "milestone_spread": float(milestone_spread(at_milestones)),
        "num_stages": float(np.mean([own.stages.num_stages for own in labelled])),
    }


def sweep_rows(groups: Sequence[Sequence[Sample]], settings: Mapping[str, Structural]) -> dict[str, dict[str, float]]:
    """Setting -> metric -> mean over groups; and the lowest group's VOC."""
    rows = {}
    for name, method in settings.items():
        each = [measure_quickly(samples, method) for samples in groups]
        row = {metric: float(np.mean([own[metric] for own in each])) for metric in each[0]}
        row["lowest_voc"] = min(own["voc"] for own in each)
        rows[name] = {metric: round(value, 4) for metric, value in row.items()}
        print(name, flush=True)
    return rows


def mean(groups: Mapping[str, Any], tasks: tuple[str, ...], name: str, metric: str, tempo: str | None = None) -> float:
    """A metric of one method, averaged over the groups of some tasks."""
    chosen = [
        own[name][metric]["mean"]
        for group, own in groups.items()
        if group.split("/")[0] in tasks and tempo in (None, group.split("/")[1])
    ]
    return sum(chosen) / len(chosen)


def summary(groups: Mapping[str, Any], tasks: tuple[str, ...]) -> str:
    """Markdown: a row per method, averaged over tasks and tempos."""
    lines = [
        "| method | VOC | pair accuracy | boundary F1 | uniform's | gain | spread, varied | elapsed time's | stages |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in next(iter(groups.values())):
        f1, uniform = (mean(groups, tasks, name, metric) for metric in ("boundary_f1", "boundary_f1_uniform"))
        lines.append(
            f"| {name} | {mean(groups, tasks, name, 'voc'):.3f} | {mean(groups, tasks, name, 'pair_accuracy'):.3f} "
            f"| {f1:.2f} | {uniform:.2f} | {f1 - uniform:+.2f} "
            f"| {mean(groups, tasks, name, 'milestone_spread', 'varied'):.3f} "
            f"| {mean(groups, tasks, name, 'elapsed_spread', 'varied'):.3f} "
            f"| {mean(groups, tasks, name, 'num_stages'):.1f} |"
        )
    return "\n".join(lines)


def by_task(groups: Mapping[str, Any], tasks: tuple[str, ...], name: str) -> str:
    """Markdown: one method, a row per task, averaged over the tempos that were measured, and their mean."""
    lines = [
        "| task | tempos | VOC | pair accuracy | boundary F1 | uniform's | gain | spread, varied | elapsed time's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    measured = [task for task in tasks if any(group.startswith(f"{task}/") for group in groups)]
    metrics = ("voc", "pair_accuracy", "boundary_f1", "boundary_f1_uniform")
    rows = {
        task: [mean(groups, (task,), name, metric) for metric in metrics]
        + [mean(groups, (task,), name, metric, "varied") for metric in ("milestone_spread", "elapsed_spread")]
        for task in measured
    }
    rows["mean over tasks"] = np.mean(list(rows.values()), axis=0).tolist()
    for task, (order, pairs, f1, uniform, spread, elapsed) in rows.items():
        tempos = " and ".join(group.split("/")[1] for group in groups if group.startswith(f"{task}/"))
        lines.append(
            f"| {task} | {tempos} | {order:.3f} | {pairs:.3f} | {f1:.2f} | {uniform:.2f} | {f1 - uniform:+.2f} "
            f"| {spread:.3f} | {elapsed:.3f} |"
        )
    return "\n".join(lines)


def by_group(groups: Mapping[str, Any], name: str) -> str:
    """Markdown: one method, a row per task and tempo, with intervals."""

    def cell(figure: Mapping[str, float]) -> str:
        return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"

    lines = [
        "| task, tempo | VOC | pair accuracy | boundary F1 | uniform's | spread | elapsed time's |",
        "|---|---|---|---|---|---|---|",
    ]
    for group, methods_of in groups.items():
        own = methods_of[name]
        columns = ("voc", "pair_accuracy", "boundary_f1", "boundary_f1_uniform", "milestone_spread", "elapsed_spread")
        lines.append(f"| {group.replace('/', ', ')} | " + " | ".join(cell(own[metric]) for metric in columns) + " |")
    return "\n".join(lines)


def sweep_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a row per setting."""
    lines = [
        "| setting | VOC | lowest group | pair accuracy | boundary F1 | uniform's | gain | spread | stages |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        f1, uniform = row["boundary_f1"], row["boundary_f1_uniform"]
        lines.append(
            f"| {name} | {row['voc']:.3f} | {row['lowest_voc']:.3f} | {row['pair_accuracy']:.3f} | {f1:.2f} "
            f"| {uniform:.2f} | {f1 - uniform:+.2f} | {row['milestone_spread']:.3f} | {row['num_stages']:.1f} |"
        )
    return "\n".join(lines)


def write_docs(result: Mapping[str, Any]) -> None:
    """The tables of docs/audit.md and docs/defaults.md."""
    parts = [
        "Development tasks, averaged over tasks and tempos:",
        summary(result["methods"], DEVELOPMENT),
        "Tasks kept aside:",
        summary(result["methods"], KEPT_ASIDE),
        "`contacts` on the tasks kept aside, by task:",
        by_task(result["methods"], KEPT_ASIDE, "contacts"),
        "`strokes` on the tasks kept aside, by task:",
        by_task(result["methods"], KEPT_ASIDE, "strokes"),
        "`contacts`, by task and tempo, with 95 % bootstrap intervals over episodes:",
        by_group(result["methods"], "contacts"),
        "`strokes`:",
        by_group(result["methods"], "strokes"),
        "`trend`, the paper's:",
        by_group(result["methods"], "trend"),
    ]
    put_between(ROOT / "docs" / "audit.md", "measured", "\n\n".join(parts))
    parts = [sweep_table(result["sweep"])] if result["sweep"] else []
    parts += ["By layer of the encoder:", sweep_table(result["layers"])] if result["layers"] else []
    if parts:
        put_between(ROOT / "docs" / "defaults.md", "audit sweep", "\n\n".join(parts))


def put_between(path: Path, name: str, text: str) -> None:
    """Replace what is between the marks of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = path.read_text().split(begin)
    path.write_text(head + begin + "\n" + text + "\n" + end + rest.split(end)[1])


def earlier(path: Path, num_episodes: int) -> dict[str, Any]:
    """What an earlier run of as many episodes has found."""
    parts: dict[str, Any] = {"methods": {}, "commits": {}, "sweep": {}, "layers": {}}
    if path.is_file() and (result := json.loads(path.read_text()))["episodes"] == num_episodes:
        parts |= {name: result[name] for name in parts if result.get(name)}
    return parts


def main() -> None:
    """Measure, write the JSON and the tables of the docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=8, help="per task and tempo")
    parser.add_argument("--groups", nargs="+", default=GROUPS, choices=GROUPS, help="tasks and tempos to measure")
    parser.add_argument("--methods", nargs="+", default=list(methods()), choices=list(methods()), help="to measure")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "audit_sweep.json")
    parser.add_argument("--sweep", action="store_true", help="vary parameters on the development tasks instead")
    parser.add_argument("--layers", type=int, nargs="+", default=[], help="also try these layers of the encoder")
    parser.add_argument("--docs-only", action="store_true", help="write the tables of an earlier run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.docs_only:
        write_docs(json.loads(arguments.output.read_text()))
        return
    found = earlier(arguments.output, arguments.episodes)
    if arguments.sweep or arguments.layers:
        chosen = [group for group in arguments.groups if group.split("/")[0] in DEVELOPMENT]
        for layer in arguments.layers:
            encoder = CachedEncoder(DINOv2Small(layer), WORK / "features")
            groups = [samples_of(group, arguments.episodes, encoder) for group in chosen]
            at_layer = {f"{own}, layer {layer}": methods()[own] for own in ("contacts", "strokes", "trend")}
            found["layers"] |= sweep_rows(groups, at_layer)
            save(arguments.output, arguments.episodes, found)
        if arguments.sweep:
            encoder = CachedEncoder(DINOv2Small(), WORK / "features")
            found["sweep"] = sweep_rows([samples_of(group, arguments.episodes, encoder) for group in chosen], sweep())
    else:
        encoder = CachedEncoder(DINOv2Small(), WORK / "features")
        for group in arguments.groups:
            chosen_methods = {name: method for name, method in methods().items() if name in arguments.methods}
            measured = measure(samples_of(group, arguments.episodes, encoder), chosen_methods)
            found["methods"][group] = found["methods"].get(group, {}) | measured
            found["commits"][group] = commit()
            print(group, flush=True)
            # An interrupted run keeps the groups that it has measured.
            save(arguments.output, arguments.episodes, found)
    save(arguments.output, arguments.episodes, found)
    write_docs(json.loads(arguments.output.read_text()))


def save(path: Path, num_episodes: int, found: Mapping[str, Any]) -> None:
    """Write what has been found, groups and methods in their usual order."""
    in_order = {
        group: {name: found["methods"][group][name] for name in methods() if name in found["methods"][group]}
        for group in GROUPS
        if group in found["methods"]
    }
    write(path, {"tolerance": TOLERANCE, "episodes": num_episodes, **found, "methods": in_order})


if __name__ == "__main__":
    main()
