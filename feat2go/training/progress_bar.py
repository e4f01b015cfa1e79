"""The progress bar of a run."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

INTERVAL_S = 0.1


class PacedProgressBar(RichProgressBar):
    """Takes in a batch ten times a second, and the last one of an epoch.

    Taking in each costs a third of a millisecond, which is more than a hundredth of a small policy's update.
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken_s = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self._taken_s < INTERVAL_S and batch_idx + 1 < self.total_train_batches:
            return
        self._taken_s = now
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
