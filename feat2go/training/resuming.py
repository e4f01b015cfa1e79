"""What Lightning gets wrong about a run that goes on from a checkpoint."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger


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


class ContinuedCSVLogger(CSVLogger):
    """``metrics.csv`` that goes on where it stopped; Lightning's own logger deletes what it finds."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Lightning's writer, told of the rows that are there."""
        written = Path(self.log_dir) / "metrics.csv"
        if self._experiment is not None or not written.is_file():
            return CSVLogger.experiment.fget(self)  # type: ignore[attr-defined]
        aside = written.with_suffix(".csv.earlier")
        written.replace(aside)
        writer = CSVLogger.experiment.fget(self)  # type: ignore[attr-defined]
        aside.replace(written)
        with written.open(newline="") as rows:
            writer.metrics_keys = list(csv.DictReader(rows).fieldnames or [])
        return writer
