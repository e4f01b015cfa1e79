"""The LightningModule that fits value models to progress targets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from feat2go.training.finite import ClippedModule
from feat2go.training.value_batches import EpisodeBatch, FrameBatch
from feat2go.values.frozen import FrozenValue, load_weights
from feat2go.values.heads import LossName, contrastive_loss, expectation, value_loss
from feat2go.values.metrics import MAE, VOC, PairAccuracy, TerminalAUROC
from feat2go.values.spec import spec_of

FRAMES_AT_ONCE = 256


class ValueModule(ClippedModule):
    """Fits a value network to progress targets: thin glue between Lightning and ``values.value_loss``.

    Validation logs ``val/voc``, ``val/pair_accuracy``, ``val/mae`` over held-out successes, and ``val/terminal_auroc``,
    NaN where there are no failures. At the end of a fit, the value model is left in ``<default_root_dir>/value``.

    Args:
        value: makes a :class:`feat2go.values.network.ValueNetwork`; called when training starts, so that parsing a
            config stays cheap.
        optimizer: makes the optimiser from the parameters that are trained.
        lr_scheduler: optional, stepped once per epoch.
        loss: ``hl_gauss``, ``two_hot`` or ``mse`` of the target, or ``contrastive``: of two frames of an episode, the
            later one is to have the higher value, whatever their targets (RFTF's).
        sigma_ratio: of ``hl_gauss``, the standard deviation in bins.
        initial_value: folder of a saved value model to start from, such as one that was pre-trained on a large data
            set; built with the same ``value``.

    Raises:
        ValueError: if ``value`` can't be written into the exported model's configuration.
    """

    def __init__(
        self,
        value: Callable[[], nn.Module],
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        loss: LossName | Literal["contrastive"] = "hl_gauss",
        sigma_ratio: float = 0.75,
        initial_value: str | None = None,
    ) -> None:
        super().__init__()
        # Refused here rather than after the training.
        self._spec = spec_of(value)
        self._make_value = value
        self._make_optimizer = optimizer
        self._make_scheduler = lr_scheduler
        self._loss: LossName | Literal["contrastive"] = loss
        self._sigma_ratio = sigma_ratio
        self._initial_value = initial_value
        self.network: Any = None
        self.voc, self.pair_accuracy, self.mae, self.terminal_auroc = VOC(), PairAccuracy(), MAE(), TerminalAUROC()

    def configure_model(self) -> None:
        """Build the network."""
        if self.network is not None:
            return
        self.network = self._make_value()
        if self._initial_value is not None:
            load_weights(self._initial_value, self.network)

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(p for p in self.network.parameters() if p.requires_grad)
        if self._make_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._make_scheduler(optimizer)}

    def training_step(self, batch: FrameBatch, batch_index: int) -> Tensor:
        logits = self.network(batch.prepared, batch.instruction)
        loss = self._loss_of(logits, batch)
        # Lightning divides the sum of the weights by the number of processes, and cuts off the fraction.
        weight = len(batch.target) * self.trainer.world_size
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=weight, sync_dist=True)
        self.note_loss(batch, loss)
        return loss

    def validation_step(self, batch: EpisodeBatch, batch_index: int) -> None:
        values = self._values(batch)
        if batch.success:
            self.voc.update(batch.index, values)
            self.pair_accuracy.update(batch.index, values)
            self.mae.update(batch.index, values, batch.target)
        self.terminal_auroc.update(batch.index, float(values[-1]), batch.success)

    def on_validation_epoch_end(self) -> None:
        # Always all of them: a metric that only some ranks log would block the others.
        self.log("val/voc", self.voc, prog_bar=True)
        self.log("val/pair_accuracy", self.pair_accuracy, prog_bar=True)
        self.log("val/mae", self.mae)
        self.log("val/terminal_auroc", self.terminal_auroc)

    def predict_step(self, batch: EpisodeBatch, batch_index: int) -> tuple[str, Tensor]:
        """The uid of an episode and float32 (T,), the value of its frames."""
        return batch.uid, self._values(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """So that the checkpoint alone says how to rebuild the network."""
        checkpoint["value_config"] = self._spec

    def on_fit_end(self) -> None:
        """Leave the value model as a folder that ``data.value_model`` and ``feat2go evaluate`` take."""
        if not self.trainer.is_global_zero or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        metrics = {
            name: float(value) for name, value in self.trainer.callback_metrics.items() if name.startswith("val/")
        }
        FrozenValue(self.network, self._make_value, metrics).save(Path(self.trainer.default_root_dir) / "value")

    def _loss_of(self, logits: Tensor, batch: FrameBatch) -> Tensor:
        if self._loss != "contrastive":
            return value_loss(logits, batch.target, self._loss, self._sigma_ratio)
        if batch.place is None:
            raise ValueError(
                "the contrastive loss needs to know which frames belong together: set data.streaming to false"
            )
        return contrastive_loss(logits, batch.place)

    def _values(self, batch: EpisodeBatch) -> Tensor:
        values = [
            expectation(self.network(prepared, [batch.instruction] * len(prepared)))
            for prepared in torch.split(batch.prepared, FRAMES_AT_ONCE)
        ]
        return torch.cat(values)
