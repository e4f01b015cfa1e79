"""What Lightning gets wrong about a run that goes on from a checkpoint."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from feat2go.core.distributed import gather
from feat2go.core.files import atomic_write


class ConfiguredOptimizer(Callback):
    """The optimiser's settings come from the config, its state from the checkpoint.

    Lightning restores both, so that a learning rate on the command line would do nothing. Where there is a schedule,
    the learning rate is its state, and stays the checkpoint's.
    """

    def __init__(self) -> None:
        self._configured: list[list[dict[str, Any]]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before Lightning restores the optimisers."""
        self._configured = [
            [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
            for optimizer in trainer.optimizers
        ]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After it."""
        if trainer.lr_scheduler_configs:
            return
        for optimizer, configured in zip(trainer.optimizers, self._configured, strict=True):
            for group, settings in zip(optimizer.param_groups, configured, strict=True):
                group.update(settings)


class RandomStates(Callback):
    """Dropout, and whatever else draws from a global generator, goes on in every process as if nothing had been.

    Rollouts don't need it: their generators are named by run, process and epoch.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Of all processes, each of which must call."""
        return {"processes": gather(_random_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict["processes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set them, unless the number of processes has changed."""
        if len(self._restored) == trainer.world_size:
            _set_random_state(self._restored[trainer.global_rank])
        self._restored = []


def _random_state() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        # As a tensor: a checkpoint holds nothing that could run code.
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


class RowOfCheckpoint(Callback):
    """The log has the row of every checkpoint.

    Lightning writes it after the checkpoint, so a run that is killed in between lacks it. The checkpoint has it too.
    """

    def __init__(self) -> None:
        self._row: dict[str, float] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """In every process: what is logged is computed from what all have."""
        progress = trainer.fit_loop.epoch_progress.current.state_dict()
        # In the middle of an epoch there is nothing to log yet.
        if progress["processed"] == progress["completed"]:
            return
        # Validation has rows of its own, which are written before.
        logged = {name: float(x) for name, x in trainer.logged_metrics.items() if not name.startswith("val/")}
        step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
        checkpoint["row"] = {**logged, "epoch": trainer.current_epoch, "step": step} if logged else {}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._row = checkpoint.get("row", {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if self._row and isinstance(logger, ContinuedCSVLogger):
                logger.add_if_missing(self._row)


class ContinuedCSVLogger(CSVLogger):
    """``metrics.csv`` that goes on where the checkpoint stopped; Lightning's own logger deletes what it finds.

    Args:
        save_dir: the run's folder.
        last_epoch: that of the checkpoint, -1 for none. Rows of later ones, and a row that is cut off, were left by a
            process that was killed; they will be written again.
    """

    def __init__(self, save_dir: Path, last_epoch: int) -> None:
        # Every row at once: a run that is killed has lost none of them.
        super().__init__(save_dir, name="", version="", flush_logs_every_n_steps=1)
        self._last_epoch = last_epoch

    @rank_zero_only
    def add_if_missing(self, row: dict[str, float]) -> None:
        """Write a row, with its ``epoch`` and ``step``, unless it is there."""
        # Before the file is read: what a killed process left is tidied up here.
        writer = self.experiment
        names = [name for name in row if name not in ("epoch", "step")]
        for written in _rows_until(Path(self.log_dir) / "metrics.csv", int(row["epoch"]))[1]:
            if written["step"] == str(row["step"]) and written.get(names[0]):
                return
        writer.log_metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
        self.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Lightning's writer, told of the rows that are there."""
        written = Path(self.log_dir) / "metrics.csv"
        aside = written.with_suffix(".csv.earlier")
        if aside.is_file() and not written.is_file():
            # A process was killed in the middle of what follows.
            aside.replace(written)
        if self._experiment is not None or not written.is_file():
            return CSVLogger.experiment.fget(self)  # type: ignore[attr-defined]
        names, rows = _rows_until(written, self._last_epoch)
        if not rows:
            return CSVLogger.experiment.fget(self)  # type: ignore[attr-defined]
        written.replace(aside)
        writer = CSVLogger.experiment.fget(self)  # type: ignore[attr-defined]
        with atomic_write(written) as partial, partial.open("w", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)
        aside.unlink()
        writer.metrics_keys = names
        return writer


def _rows_until(path: Path, last_epoch: int) -> tuple[list[str], list[dict[str, str]]]:
    if not path.is_file():
        return [], []
    with path.open(newline="") as file:
        table = csv.DictReader(file)
        # Of a row that is cut off, the last columns are None.
        whole = [row for row in table if None not in row.values() and row.get("epoch", "").isdecimal()]
        rows = [row for row in whole if int(row["epoch"]) <= last_epoch]
        return list(table.fieldnames or []), rows
