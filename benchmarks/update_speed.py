"""Samples per second of an update through ``PolicyModule`` and the Trainer beside a hand-written loop of the same loss.

python benchmarks/update_speed.py

``feat2go fit`` runs PPO as a config has it, with the loggers, callbacks and checkpoints that every run has; only that
each of its epochs goes over the same minibatches, those of one rollout. After each epoch a loop of a few lines goes
over them with a copy of the policy: loss, gradients, clipping, Adam. Both start from the same parameters and learn in
float32 with one thread; in the end they must have learned the same. The policies are those of the demos, of 0.2 and 0.4
million parameters, and a random OpenVLA-OFT with adapters, as small as those of the tests.

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
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from fit import ITERATIONS_ALONE, SPARSE, fit, write_config
from interleaved import Clock, relative_speed
from lightning.pytorch import Callback
from record import ROOT, write

from feat2go.core.types import PolicyBatch
from feat2go.training import RolloutDataModule

RESULT = Path(__file__).parent / "results" / "update_speed.json"
# How many epochs count, fewer where an epoch takes longer.
NUM_EPOCHS = {"ppo_tabletop.yaml": 40, "ppo_pushcube.yaml": 40, "ppo_openvla_oft_tiny.yaml": 12}
# As large as a batch of the demos is on two cores, and one optimiser step for each minibatch.
OPENVLA = {
    "trainer.accumulate_grad_batches": 1,
    "model.init_args.critic_lr": None,
    "model.init_args.optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-4}},
    "data.init_args.num_steps": 4,
    "data.init_args.num_minibatches": 4,
    "data.init_args.env.init_args.num_envs": 16,
}
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
        learned = [p for p in self._policy.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(learned, lr=trainer.optimizers[0].param_groups[0]["lr"])

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
        for batch in trainer.train_dataloader.batches:
            self._update_on(batch, trainer)

    def _update_on(self, batch: PolicyBatch, trainer: Any) -> None:
        """In a function of its own: a loss that lived on would keep its graph while the next one is built."""
        loss, _ = trainer.lightning_module.algorithm.loss(self._policy, batch)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._policy.parameters(), trainer.gradient_clip_val)
        self._optimizer.step()


def measure(config: str, run_dir: Path, num_epochs: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Samples per second of the Trainer's updates, of its whole epochs and of the loop.

    Args:
        config: name of the file.
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
    fit(write_config(config, run_dir, changes))
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


def settings_of(config: str, folder: Path) -> dict[str, Any]:
    """What has to change for a config to run here; ``folder`` is for a random checkpoint."""
    if config != "ppo_openvla_oft_tiny.yaml":
        return {}
    checkpoint = folder / "openvla"
    subprocess.run([sys.executable, ROOT / "tests" / "checkpoints.py", checkpoint], check=True)
    return {"model.init_args.policy.init_args.checkpoint": str(checkpoint), **OPENVLA}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--configs", nargs="+", default=list(NUM_EPOCHS), choices=NUM_EPOCHS, metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    rows = []
    for config in arguments.configs:
        with tempfile.TemporaryDirectory() as folder:
            settings = settings_of(config, Path(folder))
            row = measure(config, Path(folder) / "run", NUM_EPOCHS[config], settings)
        rows.append({"config": config, "num_epochs": NUM_EPOCHS[config], **row})
        for name, speed in row["speed"].items():
            print(f"{config}: {name:8}{speed['samples_per_s']:10,.0f} samples/s, {speed['ratio']:.3f} of the loop's")
        print(f"{config}: largest difference between parameters in the end: {row['difference']:.2g}")
    write(arguments.output, {"num_threads": 1, "rows": rows})


if __name__ == "__main__":
    main()
