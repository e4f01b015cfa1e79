"""How well the small value model orders the frames of expert episodes that it was not trained on.

``python benchmarks/value_quality.py [--tasks PushCube-v1 StackCube-v1 tabletop] [--episodes 100]`` collects plain
demonstrations, labels them and fits the value model, all through ``feat2go``.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

RESULT = Path(__file__).parent / "results" / "value_quality.json"
TASKS = ("PushCube-v1", "StackCube-v1", "tabletop")
ENCODER, CLUSTERING, NUM_EPOCHS = "mobilenet_v2", "trend", 20


def feat2go(*words: str) -> None:
    """One command, in a process of its own."""
    subprocess.run([sys.executable, "-m", "feat2go.cli.main", *words], check=True)


def environment(task: str) -> list[str]:
    """Options of ``feat2go collect``."""
    if task == "tabletop":
        return ["--env=tabletop", "--env.init_args.num_envs=16", "--env.init_args.image_size=128"]
    options = {"task": task, "num_envs": 8, "num_workers": 2, "image_size": 128}
    return ["--env=maniskill", *(f"--env.init_args.{name}={value}" for name, value in options.items())]


def measure(task: str, num_episodes: int, folder: Path) -> dict[str, Any]:
    """VOC and pair accuracy on the held-out fifth of the episodes, after the last epoch."""
    start = time.monotonic()
    demonstrations, value = folder / task / "demonstrations", folder / task / "value"
    noise = "--env.init_args.expert_noise=0.03"
    feat2go("collect", *environment(task), noise, f"--output={demonstrations}", f"--num_episodes={num_episodes}")
    feat2go("label", str(demonstrations), f"--encoder={ENCODER}", f"--clustering={CLUSTERING}")
    feat2go(
        "fit",
        "--config=configs/value_pushcube.yaml",
        f"--run_dir={value}",
        f"--trainer.max_epochs={NUM_EPOCHS}",
        f"--data.init_args.dataset=[{demonstrations}]",
        f"--data.init_args.labels=[{demonstrations / 'labels.parquet'}]",
    )
    with (value / "metrics.csv").open() as lines:
        last = [row for row in csv.DictReader(lines) if row["val/voc"]][-1]
    measured = {name: float(last[f"val/{name}"]) for name in ("voc", "pair_accuracy", "mae")}
    return {"task": task, "num_episodes": num_episodes, **measured, "seconds": round(time.monotonic() - start)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--episodes", type=int, default=100)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for task in arguments.tasks:
            rows.append(measure(task, arguments.episodes, Path(folder)))
            print(rows[-1], flush=True)
    record.write(RESULT, {"encoder": ENCODER, "clustering": CLUSTERING, "num_epochs": NUM_EPOCHS, "rows": rows})


if __name__ == "__main__":
    main()
