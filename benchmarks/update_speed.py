"""Samples per second of an update through ``PolicyModule`` and the Trainer beside a hand-written loop of the same loss.

python benchmarks/update_speed.py

``feat2go fit`` runs the demo's PPO on the tabletop as configs/ppo_tabletop.yaml has it, with the loggers, callbacks and
checkpoints that every run has; only that each of its epochs goes over the same minibatches, those of one rollout of the
64 environments. After each epoch a loop of a few lines goes over them with a copy of the policy: loss, gradients,
clipping, Adam. Both start from the same parameters and learn in float32 with one thread; in the end they must have
learned the same.

``update`` is from the epoch's start to the last minibatch's end. ``epoch`` is until the next epoch's start: it has the
means of the log, written to two files, and the checkpoint, to which nothing in the loop corresponds.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from fit import ITERATIONS_ALONE, SPARSE, fit, write_config
from interleaved import Clock, relative_speed
from lightning.pytorch import Callback
from record import write

from feat2go.core.types import PolicyBatch
from feat2go.training import RolloutDataModule

RESULT = Path(__file__).parent / "results" / "update_speed.json"
CONFIG = "ppo_tabletop.yaml"
MEASURED = "measured.json"


class SameMinibatches(RolloutDataModule):
    """The minibatches of the first rollout, again in every epoch."""

    def train_dataloader(self) -> Any:
        return _Kept(super().train_dataloader())


class _Kept:
    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self.batches: list[PolicyBatch] = []

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[PolicyBatch]:
        # A generator, or Lightning's early call would collect.
        self.batches = self.batches or list(self._loader)
        yield from self.batches


class BesideALoop(Callback):
    """Times every epoch, and after each the hand-written loop. The first of both, which collects, does not count."""

    def __init__(self) -> None:
        self._update, self._epoch, self._loop = Clock(), Clock(), Clock()
        self._policy: Any = None
        self._optimizer: Any = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._policy = copy.deepcopy(pl_module.policy)
        self._optimizer = torch.optim.Adam(self._policy.parameters(), lr=trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch:
            self._end_epoch(trainer)
        self._epoch.start()
        self._update.start()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._update.stop()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._end_epoch(trainer)
        learned = dict(pl_module.policy.named_parameters())
        differences = [float((p - learned[name]).detach().abs().max()) for name, p in self._policy.named_parameters()]
        clocks = {"update": self._update, "epoch": self._epoch, "loop": self._loop}
        measured = {
            "num_samples": sum(len(batch) for batch in trainer.train_dataloader.batches),
            "difference": max(differences),
            "clocks": {name: clock.to_json() for name, clock in clocks.items()},
        }
        (Path(trainer.default_root_dir) / MEASURED).write_text(json.dumps(measured))

    def _end_epoch(self, trainer: Any) -> None:
        self._epoch.stop()
        with self._loop.running():
            self._go_over(trainer)

    def _go_over(self, trainer: Any) -> None:
        loss_of = trainer.lightning_module.algorithm.loss
        for batch in trainer.train_dataloader.batches:
            loss, _ = loss_of(self._policy, batch)
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._policy.parameters(), trainer.gradient_clip_val)
            self._optimizer.step()


def measure(run_dir: Path, num_epochs: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Samples per second of the Trainer's updates, of its whole epochs and of the loop.

    Args:
        run_dir: of the run.
        num_epochs: that count.
        settings: further changes to the config, by dotted key.
    """
    changes = {
        **ITERATIONS_ALONE,
        **SPARSE,
        "trainer.max_epochs": num_epochs + 1,
        "trainer.callbacks": [{"class_path": "update_speed.BesideALoop"}],
        "data.class_path": "update_speed.SameMinibatches",
        **settings,
    }
    fit(write_config(CONFIG, run_dir, changes))
    measured = json.loads((run_dir / MEASURED).read_text())
    clocks = {name: Clock(times["wall_s"][1:], times["processor_s"][1:]) for name, times in measured["clocks"].items()}
    return {
        "num_samples": measured["num_samples"],
        "difference": measured["difference"],
        "speed": {
            name: {
                "samples_per_s": round(measured["num_samples"] / min(clock.wall), 1),
                **relative_speed(clock, clocks["loop"]),
                **clock.to_json(),
            }
            for name, clock in clocks.items()
        },
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--num-epochs", type=int, default=40, help="of 24 updates each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder) / "run", arguments.num_epochs, {})
    settings = {name: value for name, value in vars(arguments).items() if name != "output"}
    write(arguments.output, {"config": CONFIG, **settings, "num_threads": 1, **result})
    for name, row in result["speed"].items():
        print(f"{name:8}{row['samples_per_s']:10,.0f} samples/s, {row['ratio']:.3f} of the loop's")
    print(f"largest difference between parameters in the end: {result['difference']:.2g}")


if __name__ == "__main__":
    main()
