"""Which defaults of clustering and progress target serve best, on development tasks.

python benchmarks/label_defaults.py

Scripted experts of even and of uneven tempo, development seeds. Every setting is scored by the order it gives the
frames (VOC, pair accuracy), by how far the target differs between episodes at the simulator's milestones (spread), and
by boundary F1 against the milestones, beside that of as many uniform stages. The milestones score; they never label.
docs/defaults.md says what was chosen; its tables are written from the JSON by the same command. The first run takes
about 10 minutes of one core, most of it in DINOv2, and keeps 0.8 GB of features under runs/.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import ROOT, write

from feat2go.clustering import Single, Trend, Uniform
from feat2go.core import Clustering, Encoder, Episode
from feat2go.core.seeding import episode_seed
from feat2go.encoders import CachedEncoder
from feat2go.encoders.baselines import PixelPatches
from feat2go.encoders.mobilenet import MobileNetV2
from feat2go.encoders.packaged import DINOv2Small
from feat2go.envs.maniskill.env import ManiSkill
from feat2go.progress import boundary_f1, pair_accuracy, structural_progress, voc
from feat2go.rollouts.recording import expert_episodes

TASKS = ("PickCube-v1", "StackCube-v1", "PushCube-v1")
# Lowest relative speed of a phase; below 1, each phase draws its own and is preceded by a pause.
TEMPOS = (1.0, 0.4)
GROUPS = tuple(itertools.product(TASKS, TEMPOS))
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "pixels": PixelPatches,
    "mobilenet_v2, layer 13": lambda: MobileNetV2(layer=13),
    "mobilenet_v2, layer 18": lambda: MobileNetV2(layer=18),
    "dinov2_small, layer 9": lambda: DINOv2Small(layer=9),
    "dinov2_small, layer 12": lambda: DINOv2Small(layer=12),
}
TOLERANCE = 2
NUM_RESAMPLES = 200
# A second run, after a change of clustering or target, takes the features of the first.
FEATURES = ROOT / "runs" / "label_defaults" / "features"
DOCS = ROOT / "docs" / "defaults.md"
MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")


@dataclass(frozen=True)
class Setting:
    """One row of the table. ``clustering`` is None for elapsed time."""

    name: str
    clustering: Clustering | None
    beta: float = 0.0
    scope: str = "stage"


@dataclass(frozen=True)
class Sample:
    """An episode as the scores need it.

    Attributes:
        group: its task and tempo.
        features: (T, P, D).
        embedded: (T, 1, T), with the same patch similarities at beta = 0, to be quick.
        milestones: (T,).
    """

    group: tuple[str, float]
    features: torch.Tensor
    embedded: torch.Tensor
    milestones: np.ndarray

    @property
    def milestone_frames(self) -> list[int]:
        """First frame of each milestone but the last, which is success and the last frame."""
        return [int(np.argmax(self.milestones >= k)) for k in range(1, int(self.milestones.max()))]


def settings() -> Iterator[Setting]:
    """Baselines, the default, and each parameter on its own around it."""
    yield Setting("elapsed time", None)
    yield Setting("single", Single())
    for num_stages in (3, 5, 8):
        yield Setting(f"uniform, num_stages={num_stages}", Uniform(num_stages))
    yield Setting("trend, default", Trend())
    for window in (2, 4, 5, 7, 10):
        yield Setting(f"trend, window={window}", Trend(window=window))
    for quantile in (0.3, 0.5, 0.6, 0.8, 0.9):
        yield Setting(f"trend, quantile={quantile}", Trend(quantile=quantile))
    for threshold in (0.001, 0.003, 0.01, 0.03):
        yield Setting(f"trend, threshold={threshold}", Trend(threshold=threshold))
    for min_stage in (2, 4, 5, 6):
        yield Setting(f"trend, min_stage={min_stage}", Trend(min_stage=min_stage))
    yield Setting("trend, reanchor=False", Trend(reanchor=False))
    for beta in (1e-4, 1e-3, 1e-2):
        yield Setting(f"trend, beta={beta:g}", Trend(beta=beta), beta=beta)
    yield Setting("trend, scope=episode", Trend(), scope="episode")


def grid() -> Iterator[Setting]:
    """The three that interact, together."""
    for window, quantile, min_stage in itertools.product((3, 5, 7), (0.5, 0.6, 0.7, 0.8), (3, 4, 5)):
        name = f"window={window}, quantile={quantile}, min_stage={min_stage}"
        yield Setting(name, Trend(window=window, quantile=quantile, min_stage=min_stage))


def record(task: str, tempo: float, num_episodes: int) -> list[Episode]:
    """The first successful development episodes of a task at a tempo."""
    env = ManiSkill(task, num_envs=2, image_size=128, expert_noise=0.05, expert_tempo=tempo)
    try:
        seeds = itertools.count(episode_seed("development", 0))
        successes = (episode for episode in expert_episodes(env, seeds) if episode.success)
        return list(itertools.islice(successes, num_episodes))
    finally:
        env.close()


def embed(features: torch.Tensor) -> torch.Tensor:
    """Vectors (T, 1, T) whose cosines are the mean patch cosines of features (T, P, D): a root of their Gram matrix."""
    unit = torch.nn.functional.normalize(features.float(), dim=-1).flatten(1)
    eigenvalues, vectors = torch.linalg.eigh((unit @ unit.T).double() / features.shape[1])
    return (vectors * eigenvalues.clamp(min=0).sqrt())[:, None]


def prepare(group: tuple[str, float], episode: Episode, encoder: Encoder) -> Sample:
    """Encode an episode."""
    assert episode.milestones is not None
    features = encoder.encode_episode(torch.from_numpy(episode.frames["base"][:])).features
    return Sample(group, features, embed(features), episode.milestones)


def score(sample: Sample, setting: Setting) -> dict[str, Any]:
    """One episode under one setting."""
    features = sample.features if setting.beta > 0 else sample.embedded
    num_frames = len(features)
    if setting.clustering is None:
        target, cuts = np.arange(num_frames) / (num_frames - 1), [0, num_frames]
    else:
        stages = setting.clustering.segment(features)
        track = structural_progress(features, stages, setting.beta, setting.scope)
        target, cuts = track.target.numpy(), stages.boundaries.tolist()
    uniform = Uniform(len(cuts) - 1).segment(features).boundaries.tolist()
    frames = sample.milestone_frames
    return {
        "voc": voc(target),
        "pair_accuracy": pair_accuracy(target),
        "boundary_f1": boundary_f1(cuts[1:-1], frames, TOLERANCE),
        "uniform_f1": boundary_f1(uniform[1:-1], frames, TOLERANCE),
        "num_stages": len(cuts) - 1,
        "at_milestones": target[frames],
    }


def summary(samples: list[Sample], setting: Setting) -> dict[str, float]:
    """Means over episodes, then over groups, and the standard error of the spread."""
    per_group = []
    for group in GROUPS:
        scores = [score(sample, setting) for sample in samples if sample.group == group]
        at_milestones = np.array([s.pop("at_milestones") for s in scores])
        means = {name: np.mean([s[name] for s in scores]) for name in scores[0]}
        per_group.append({**means, "spread": spread(at_milestones), "variance": bootstrap_variance(at_milestones)})
    mean = {name: float(np.mean([row[name] for row in per_group])) for name in per_group[0]}
    error = (mean.pop("variance") / len(GROUPS)) ** 0.5
    figures = {**mean, "spread_error": error, "lowest_voc": min(row["voc"] for row in per_group)}
    return {name: round(float(value), 4) for name, value in figures.items()}


def spread(at_milestones: np.ndarray) -> float:
    """Targets (E, M) of E episodes at M milestones -> standard deviation over episodes, averaged over milestones."""
    return float(at_milestones.std(axis=0, ddof=1).mean())


def bootstrap_variance(at_milestones: np.ndarray) -> float:
    """Sampling variance of the spread over resampled episodes."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(at_milestones), size=(NUM_RESAMPLES, len(at_milestones)))
    return float(np.var([spread(at_milestones[chosen]) for chosen in rows]))


def measure(episodes: dict[tuple[str, float], list[Episode]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the sweep and of the grid, encoder by encoder: the features of one are in memory."""
    sweep, combinations = [], []
    for encoder_name, build in ENCODERS.items():
        start = time.perf_counter()
        encoder = CachedEncoder(build(), FEATURES)
        samples = [prepare(group, episode, encoder) for group in GROUPS for episode in episodes[group]]
        for setting in settings():
            sweep.append({"encoder": encoder_name, "setting": setting.name, **summary(samples, setting)})
        for setting in grid():
            combinations.append({"encoder": encoder_name, "setting": setting.name, **summary(samples, setting)})
        print(f"{encoder_name}: {time.perf_counter() - start:.0f} s", flush=True)
    return sweep, combinations


def averaged(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Setting -> its figures, averaged over the pretrained encoders."""
    result: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["setting"] for row in rows):
        chosen = [row for row in rows if row["setting"] == name and row["encoder"] != "pixels"]
        figures = [key for key in chosen[0] if key not in ("encoder", "setting")]
        result[name] = {key: round(float(np.mean([row[key] for row in chosen])), 4) for key in figures}
    return result


def table(title: str, rows: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    lines = [
        f"| {title} | VOC | lowest group | pair accuracy | spread | boundary F1 | uniform F1 | stages |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['voc']:.3f} | {row['lowest_voc']:.3f} | {row['pair_accuracy']:.3f} "
            f"| {row['spread']:.3f} ± {row['spread_error']:.3f} "
            f"| {row['boundary_f1']:.2f} | {row['uniform_f1']:.2f} | {row['num_stages']:.1f} |"
        )
    return "\n".join(lines)


def write_docs(result: dict[str, Any]) -> None:
    """Put the tables between the marks of docs/defaults.md."""
    by_setting = averaged(result["sweep"])
    default = {row["encoder"]: row for row in result["sweep"] if row["setting"] == "trend, default"}
    best = dict(sorted(averaged(result["grid"]).items(), key=lambda item: item[1]["spread"])[:16])
    parts = [
        "Averaged over the four pretrained encoders, each parameter on its own around the default:",
        table("setting", by_setting),
        "The default, by encoder:",
        table("encoder", default),
        "Of 36 combinations of window, quantile and minimum stage, the sixteen with the lowest spread:",
        table("combination", best),
    ]
    head, rest = DOCS.read_text().split(MARKS[0])
    tail = rest.split(MARKS[1])[1]
    DOCS.write_text(head + MARKS[0] + "\n" + "\n\n".join(parts) + "\n" + MARKS[1] + tail)


def main() -> None:
    """Measure, write the JSON and the tables of docs/defaults.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=8, help="per task and tempo")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "label_defaults.json")
    parser.add_argument("--docs-only", action="store_true", help="write the tables of an earlier run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.docs_only:
        episodes = {(task, tempo): record(task, tempo, arguments.episodes) for task, tempo in GROUPS}
        lengths = {f"{task}, tempo {tempo}": [len(e) for e in episodes[task, tempo]] for task, tempo in GROUPS}
        sweep, combinations = measure(episodes)
        write(arguments.output, {"tolerance": TOLERANCE, "lengths": lengths, "sweep": sweep, "grid": combinations})
    write_docs(json.loads(arguments.output.read_text()))


if __name__ == "__main__":
    main()
