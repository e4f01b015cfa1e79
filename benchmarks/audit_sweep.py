"""How well stages and targets agree with the simulator's milestones, on development tasks and on tasks kept aside.

python benchmarks/audit_sweep.py

Scripted experts of even and of varied tempo (each phase draws its own speed from 0.4 to 1 times the usual one, after a
pause), development seeds, 128 px, dinov2_small. Every clustering with its defaults; with ``--sweep``, also the
parameters of ``strokes``, on the development tasks only. docs/audit.md says what was chosen; its tables are written
from the JSON by the same command. The first run takes about 15 minutes of one core, most of it in DINOv2, and keeps
1 GB under runs/.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from record import ROOT, write

from feat2go.clustering import UVD, Pelt, Single, Strokes, Trend, TrendAgglomerative, Uniform
from feat2go.data import FolderDataset
from feat2go.encoders import CachedEncoder
from feat2go.encoders.packaged import DINOv2Small
from feat2go.envs.maniskill.env import ManiSkill
from feat2go.progress.audit import Method, Sample, StepsToGo, Structural, audit, simulator_milestones
from feat2go.rollouts.demonstrations import collect

DEVELOPMENT = ("PickCube-v1", "StackCube-v1", "PushCube-v1")
KEPT_ASIDE = ("PlaceSphere-v1", "PullCube-v1")
TEMPOS = {"even": 1.0, "varied": 0.4}
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
DOCS = ROOT / "docs" / "audit.md"
MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")


def methods() -> dict[str, Method]:
    """Every clustering with its defaults, and elapsed time."""
    clusterings = {
        "strokes": Strokes(),
        "trend": Trend(),
        "trend_agglomerative": TrendAgglomerative(),
        "uvd": UVD(),
        "pelt": Pelt(),
        "uniform": Uniform(),
        "single": Single(),
    }
    return {name: Structural(own) for name, own in clusterings.items()} | {"steps_to_go": StepsToGo()}


def sweep() -> dict[str, Method]:
    """Each parameter of strokes on its own around the default."""
    settings: dict[str, Strokes] = {"default": Strokes()}
    settings |= {f"strong={value:g}": Strokes(strong=value) for value in (0.6, 1.3, 1.7)}
    settings |= {f"position={value:g}": Strokes(position=value) for value in (0, 4, 16)}
    settings |= {f"change={value:g}": Strokes(change=value) for value in (0, 1, 4)}
    settings |= {f"min_stages={value}": Strokes(min_stages=value) for value in (2, 4)}
    return {name: Structural(own) for name, own in settings.items()}


def demonstrations(task: str, tempo: str, num_episodes: int) -> FolderDataset:
    """The first successful development episodes, recorded if they aren't there."""
    folder = WORK / "data" / task / tempo
    if (folder / "dataset.json").is_file() and len(FolderDataset(folder)) >= num_episodes:
        return FolderDataset(folder)
    env = ManiSkill(task, num_envs=1, image_size=128, expert_noise=0.05, expert_tempo=TEMPOS[tempo])
    try:
        return collect(env, folder, num_episodes, "development")
    finally:
        env.close()


def samples_of(task: str, tempo: str, num_episodes: int, encoder: CachedEncoder) -> list[Sample]:
    """Encode the episodes of one task at one tempo."""
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


def write_docs(result: Mapping[str, Any]) -> None:
    """Put the tables between the marks of docs/audit.md."""
    parts = [
        "Development tasks, averaged over tasks and tempos:",
        summary(result["methods"], DEVELOPMENT),
        "Tasks kept aside:",
        summary(result["methods"], KEPT_ASIDE),
        "`strokes`, by task and tempo, with 95 % bootstrap intervals over episodes:",
        by_group(result["methods"], "strokes"),
        "`trend`, the paper's:",
        by_group(result["methods"], "trend"),
    ]
    if result["sweep"]:
        parts += [
            "Parameters of `strokes`, one at a time, on the development tasks:",
            summary(result["sweep"], DEVELOPMENT),
        ]
    head, rest = DOCS.read_text().split(MARKS[0])
    tail = rest.split(MARKS[1])[1]
    DOCS.write_text(head + MARKS[0] + "\n" + "\n\n".join(parts) + "\n" + MARKS[1] + tail)


def main() -> None:
    """Measure, write the JSON and the tables of docs/audit.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=8, help="per task and tempo")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "audit_sweep.json")
    parser.add_argument("--sweep", action="store_true", help="also vary the parameters of strokes")
    parser.add_argument("--docs-only", action="store_true", help="write the tables of an earlier run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.docs_only:
        encoder = CachedEncoder(DINOv2Small(), WORK / "features")
        found: dict[str, Any] = {"methods": {}, "sweep": {}}
        for task, tempo in itertools.product((*DEVELOPMENT, *KEPT_ASIDE), TEMPOS):
            samples = samples_of(task, tempo, arguments.episodes, encoder)
            found["methods"][f"{task}/{tempo}"] = measure(samples, methods())
            if task in DEVELOPMENT and arguments.sweep:
                found["sweep"][f"{task}/{tempo}"] = measure(samples, sweep())
            print(f"{task}, {tempo}", flush=True)
        write(arguments.output, {"tolerance": 2, "episodes": arguments.episodes, **found})
    write_docs(json.loads(arguments.output.read_text()))


if __name__ == "__main__":
    main()
