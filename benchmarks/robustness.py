"""How stages and targets hold up when the same states are seen otherwise, on two of the tasks kept aside.

``python benchmarks/robustness.py [--encoder dinov2_small] [--episodes 8] [--severities 2]``: expert episodes at an even
tempo are labelled from their pictures and from perturbed ones. Noise, light, colours, distractors and a shifted and
rotated picture are made from the pictures; the same states are also rendered anew, in other light, among distractors
and from another view (``feat2go.envs.maniskill.variations``). Features are kept under runs/, so an interrupted run goes
on; with dinov2_small, one severity takes about 10 minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch

from feat2go.clustering import Contacts, Strokes, Trend
from feat2go.core import Episode
from feat2go.data import FolderDataset
from feat2go.encoders import CachedEncoder
from feat2go.envs.maniskill.env import ManiSkill
from feat2go.envs.maniskill.variations import Kind
from feat2go.progress.audit import Sample, Structural
from feat2go.progress.audit.perturbations import PERTURBATIONS, SEVERITIES
from feat2go.progress.audit.robustness import robustness
from feat2go.registry import ENCODERS
from feat2go.rollouts.demonstrations import collect
from feat2go.rollouts.variations import rendered_anew

RESULTS = Path(__file__).parent / "results"
WORK = record.ROOT / "runs" / "robustness"
DOCS = record.ROOT / "docs" / "audit.md"
MARKS = ("<!-- robustness: begin -->", "<!-- robustness: end -->")
KEPT_ASIDE = ("PlaceSphere-v1", "PullCube-v1")
METHODS = {"strokes": Strokes, "contacts": Contacts, "trend": Trend}
RENDERED: dict[str, Kind] = {"light, rendered": "light", "distractors, rendered": "distractors", "view": "view"}
KINDS = (*PERTURBATIONS, *RENDERED)
IMAGE_SIZE = 128


def demonstrations(task: str, num_episodes: int) -> list[Episode]:
    """The first successful development episodes, recorded if they aren't there."""
    folder = WORK / "data" / task
    if not (folder / "dataset.json").is_file() or len(FolderDataset(folder)) < num_episodes:
        env = ManiSkill(task, num_envs=1, image_size=IMAGE_SIZE, expert_noise=0.05)
        try:
            collect(env, folder, num_episodes, "development")
        finally:
            env.close()
    return FolderDataset(folder)[:num_episodes]


def measure(task: str, num_episodes: int, severities: Sequence[int], encoder: CachedEncoder) -> list[dict[str, Any]]:
    """A row per perturbation, severity and method."""
    episodes = demonstrations(task, num_episodes)
    clean = [np.asarray(episode.frames["base"][:]) for episode in episodes]
    samples = [
        Sample(episode.uid, task, encoder.encode_episode(torch.from_numpy(frames)).features)
        for episode, frames in zip(episodes, clean, strict=True)
    ]
    rows = []
    for kind in KINDS:
        for severity in severities:
            seen = (
                list(rendered_anew(episodes, RENDERED[kind], severity))
                if kind in RENDERED
                else [PERTURBATIONS[kind](frames, severity, seed) for seed, frames in enumerate(clean)]
            )
            features = [encoder.encode_episode(torch.from_numpy(frames)).features for frames in seen]
            for name, clustering in METHODS.items():
                found = robustness(samples, features, Structural(clustering()))
                figures = {metric: _rounded(asdict(estimate)) for metric, estimate in found.items()}
                rows.append({"task": task, "method": name, "perturbation": kind, "severity": severity, **figures})
                print(task, kind, severity, name, figures["rank_correlation"], flush=True)
    return rows


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}


def table(result: dict[str, Any]) -> str:
    """Markdown: a row per method, perturbation and severity, averaged over the tasks."""
    lines = [
        f"With {result['encoder']}, {result['episodes']} episodes of each task:",
        "",
        "| method | perturbation, severity | rank correlation, worst task | boundary shift | pair accuracy drop |",
        "|---|---|---|---|---|",
    ]
    for method in METHODS:
        for kind in KINDS:
            for severity in SEVERITIES:
                rows = [
                    row
                    for row in result["rows"]
                    if (row["method"], row["perturbation"], row["severity"]) == (method, kind, severity)
                ]
                if rows:
                    lines.append(f"| {method} | {kind}, {severity} | {_cells(rows)} |")
    return "\n".join(lines)


def _cells(rows: Sequence[dict[str, Any]]) -> str:
    means = {
        metric: [row[metric]["mean"] for row in rows]
        for metric in ("rank_correlation", "boundary_shift", "pair_accuracy_drop")
    }
    average = {metric: float(np.mean(values)) for metric, values in means.items()}
    return (
        f"{average['rank_correlation']:.3f}, {min(means['rank_correlation']):.3f} "
        f"| {average['boundary_shift']:.1f} | {average['pair_accuracy_drop']:+.3f}"
    )


def write_docs() -> None:
    """Put the tables of all encoders that were measured between the marks of docs/audit.md."""
    tables = [table(json.loads(path.read_text())) for path in sorted(RESULTS.glob("robustness_*.json"))]
    head, rest = DOCS.read_text().split(MARKS[0])
    DOCS.write_text(f"{head}{MARKS[0]}\n" + "\n\n".join(tables) + f"\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


def main() -> None:
    """Measure, write the JSON and the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="dinov2_small", choices=list(ENCODERS))
    parser.add_argument("--episodes", type=int, default=8, help="of each task")
    parser.add_argument("--severities", type=int, nargs="+", default=[2], choices=SEVERITIES)
    parser.add_argument("--docs-only", action="store_true", help="write the tables of earlier runs")
    arguments = parser.parse_args()
    if not arguments.docs_only:
        encoder = CachedEncoder(ENCODERS.get(arguments.encoder)(), WORK / "features")
        rows = [row for task in KEPT_ASIDE for row in measure(task, arguments.episodes, arguments.severities, encoder)]
        result = {"encoder": arguments.encoder, "episodes": arguments.episodes, "rows": rows}
        record.write(RESULTS / f"robustness_{arguments.encoder}.json", result)
    write_docs()


if __name__ == "__main__":
    main()
