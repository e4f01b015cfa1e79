"""The reward's own cost as a share of a PPO iteration on a CPU, with the small value model on the terminal frames.

python benchmarks/value_share.py

``feat2go fit`` runs the demo's PPO as configs/ppo_pushcube.yaml and configs/ppo_tabletop.yaml have it, with all cores,
the reward ``terminal_value`` and the value models of configs/value_pushcube.yaml and configs/value_tabletop.yaml.
Neither they nor the policies have been trained, which changes nothing of what an iteration costs, but that no episode
ends early.

An iteration is from one epoch's start to the next: rollout, reward, updates, log and checkpoint. The reward's part is
what the run logs itself: ``rollout/reward_share_of_time`` is that of rollout and reward together, from the first
prediction for a terminal frame to the relabelled rollout.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from fit import ITERATIONS_ALONE, fit, write_config
from interleaved import Clock
from lightning.pytorch import Callback
from record import ROOT, write

from feat2go.registry import ENCODERS
from feat2go.values.frozen import FrozenValue
from feat2go.values.small import SmallValue

RESULT = Path(__file__).parent / "results" / "value_share.json"
# Environment -> the end of its configs' names.
CONFIGS = {"PushCube-v1": "pushcube", "tabletop": "tabletop"}
MEASURED = "measured.json"


class NoteIterations(Callback):
    """How long each iteration takes, and its reward. The first, which builds everything, does not count."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._rollouts: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch:
            self._clock.stop()
        self._clock.start()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._rollouts.append(dict(trainer.datamodule.rollout_metrics))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._clock.stop()
        totals = [0.0, *(rollout["env_steps"] for rollout in self._rollouts)]
        measured = [
            {
                "iteration_s": seconds,
                "reward_s": reward_seconds(rollout, rollout["env_steps"] - before),
                "num_episodes": rollout["num_episodes"],
                "num_env_steps": rollout["env_steps"] - before,
            }
            for seconds, rollout, before in zip(self._clock.wall, self._rollouts, totals[:-1], strict=True)
        ]
        (Path(trainer.default_root_dir) / MEASURED).write_text(json.dumps(measured[1:]))


def reward_seconds(rollout: dict[str, float], num_env_steps: float) -> float:
    """What the reward of a rollout took, from what is logged of it.

    Args:
        rollout: ``env_steps_per_s`` of collecting alone, ``reward_share_of_time`` of collecting and reward together.
        num_env_steps: of this rollout.
    """
    share = rollout["reward_share_of_time"]
    return num_env_steps / rollout["env_steps_per_s"] * share / (1 - share)


def value_settings(env: str) -> dict[str, Any]:
    """Arguments of the demo's value model."""
    config = yaml.safe_load((ROOT / "configs" / f"value_{CONFIGS[env]}.yaml").read_text())
    settings: dict[str, Any] = config["model"]["init_args"]["value"]["init_args"]
    return settings


def save_value_model(folder: Path, settings: Mapping[str, Any]) -> None:
    """The small value model with these settings, untrained."""
    encoder = settings["encoder"]
    make_encoder = partial(ENCODERS.get(encoder["class_path"]), **encoder["init_args"])
    value = partial(SmallValue, **{**settings, "encoder": make_encoder})
    FrozenValue(value(), value).save(folder)


def measure(
    env: str, run_dir: Path, value_model: Path, num_iterations: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Shares of the iterations of one environment.

    Args:
        env: one of ``CONFIGS``.
        run_dir: of the run.
        value_model: folder of the frozen value model.
        num_iterations: that count.
        settings: further changes to the config, by dotted key.
    """
    changes = {
        **ITERATIONS_ALONE,
        "trainer.max_epochs": num_iterations + 1,
        "trainer.callbacks": [{"class_path": "value_share.NoteIterations"}],
        "data.init_args.value_model": str(value_model),
        **settings,
    }
    fit(write_config(f"ppo_{CONFIGS[env]}.yaml", run_dir, changes))
    iterations = json.loads((run_dir / MEASURED).read_text())
    return {
        "env": env,
        "share": round(median(i["reward_s"] / i["iteration_s"] for i in iterations), 4),
        "ms_per_terminal_frame": round(median(1000 * i["reward_s"] / i["num_episodes"] for i in iterations), 2),
        "iterations": [{name: round(figure, 4) for name, figure in i.items()} for i in iterations],
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--envs", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for env in arguments.envs:
            here = Path(folder) / env
            settings = value_settings(env)
            save_value_model(here / "value", settings)
            row = measure(env, here / "run", here / "value", arguments.iterations, {})
            rows.append({"image_size": settings["encoder"]["init_args"]["image_size"], **row})
    record = {"num_iterations": arguments.iterations, "num_threads": torch.get_num_threads(), "rows": rows}
    write(arguments.output, record)
    for row in rows:
        share, frame_ms = f"{row['share']:.1%} of an iteration", f"{row['ms_per_terminal_frame']} ms per terminal frame"
        print(f"{row['env']}, value model on {row['image_size']} pixels: {share}, {frame_ms}")


if __name__ == "__main__":
    main()
