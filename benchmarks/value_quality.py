"""How well the small value model orders the frames of expert episodes that it was not trained on.

``python benchmarks/value_quality.py [--tasks PushCube-v1 StackCube-v1 tabletop] [--folder FOLDER]`` collects plain
demonstrations, labels them by ``configs/label_quality.yaml`` and fits the value model of
``configs/value_quality.yaml``, all through ``feat2go``. With a folder, demonstrations and labels stay there, and
an interrupted run goes on from them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import record
from commands import feat2go, held_out

from feat2go.core.ordering import pair_accuracy, voc
from feat2go.progress import read_labels

RESULT = Path(__file__).parent / "results" / "value_quality.json"
# The tabletop draws its objects, receptacles and their colours anew in each episode, and its episodes cost little.
NUM_EPISODES = {"PushCube-v1": 100, "StackCube-v1": 200, "tabletop": 400}
LABEL, VALUE = "configs/label_quality.yaml", "configs/value_quality.yaml"


def environment(task: str) -> list[str]:
    """Options of ``feat2go collect``."""
    if task == "tabletop":
        return ["--env=tabletop", "--env.init_args.num_envs=16", "--env.init_args.image_size=128"]
    options = {"task": task, "num_envs": 8, "num_workers": 2, "image_size": 128}
    return ["--env=maniskill", *(f"--env.init_args.{name}={value}" for name, value in options.items())]


def measure(task: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """VOC and pair accuracy on the held-out fifth of the episodes, after the last epoch."""
    num_episodes = NUM_EPISODES[task]
    demonstrations, value = folder / task / "demonstrations", scratch / task / "value"
    noise = "--env.init_args.expert_noise=0.03"
    feat2go("collect", *environment(task), noise, f"--output={demonstrations}", f"--num_episodes={num_episodes}")
    labels = demonstrations / "labels.parquet"
    if not labels.exists():
        feat2go("label", str(demonstrations), f"--config={LABEL}")
    feat2go(
        "fit",
        f"--config={VALUE}",
        f"--run_dir={value}",
        f"--data.init_args.dataset=[{demonstrations}]",
        f"--data.init_args.labels=[{labels}]",
    )
    return {"task": task, "num_episodes": num_episodes, **held_out(value), "target": target_order(labels)}


def target_order(labels: Path) -> dict[str, float]:
    """VOC and pair accuracy of the targets themselves: what a network that learned them exactly would reach."""
    targets = [track.target for track in read_labels(labels).values()]
    return {
        name: sum(metric(target) for target in targets) / len(targets)
        for name, metric in (("voc", voc), ("pair_accuracy", pair_accuracy))
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=NUM_EPISODES, default=[*NUM_EPISODES])
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for task in arguments.tasks:
            rows.append(measure(task, arguments.folder or Path(scratch), Path(scratch)))
            print(rows[-1], flush=True)
    record.write(RESULT, {"label": LABEL, "value": VALUE, "rows": rows})


if __name__ == "__main__":
    main()
