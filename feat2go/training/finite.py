"""Stop at the first number that is not finite, with what led to it on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from torch import Tensor

from feat2go.core.distributed import global_sum
from feat2go.core.files import atomic_write
from feat2go.training.strategies import local


class NotFiniteError(ValueError):
    """Something is NaN or infinite. The message says what, where the batch is and what to go on from."""


class StopAtNotFinite(Callback):
    """Stops before an update whose loss or gradients are not finite, on all processes alike.

    Raises:
        NotFiniteError: naming the tensors.
    """

    def __init__(self) -> None:
        self._batch: Any = None
        self._loss = torch.zeros(())

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        learned = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms = torch._foreach_norm([local(p.grad) for p in learned])
        # Finite only if all of them are. It may overflow where they are: then nothing is found.
        numbers = torch.stack([number.to(self._loss.device, torch.float32) for number in (self._loss, *norms)])
        found = [] if numbers.sum().isfinite() else self._found(pl_module)
        stop_if_any(trainer, found, self._batch, "gradients")

    def _found(self, pl_module: LightningModule) -> list[str]:
        if not self._loss.isfinite():
            return ["loss"]
        named = pl_module.named_parameters()
        return _not_finite((name, local(p.grad)) for name, p in named if p.grad is not None)


def stop_if_any(trainer: Any, found: list[str], record: Any, otherwise: str) -> None:
    """Stop all processes if one of them has found something; each saves what it has.

    Args:
        trainer: says where and when.
        found: names of what is not finite on this process.
        record: a dataclass of tensors to save.
        otherwise: what to call it where another process has found it.

    Raises:
        NotFiniteError: on every process, if ``found`` is not empty on any.
    """
    if not global_sum(torch.tensor(float(bool(found)))):
        return
    name = f"epoch{trainer.current_epoch}-step{trainer.global_step}-rank{trainer.global_rank}.safetensors"
    path = Path(trainer.default_root_dir) / "not_finite" / name
    save_record(record, path)
    what = ", ".join(found[:5]) if found else f"{otherwise} of another process"
    raise NotFiniteError(
        f"NaN or infinity in {what} (epoch {trainer.current_epoch}, step {trainer.global_step}); stopped before it "
        f"reached the policy. The batch is in {path}. {_last_good(trainer)}"
    )


def not_finite(record: Any) -> list[str]:
    """Names of the tensors of a dataclass, and of those in it, that hold a NaN or an infinity."""
    return _not_finite(_tensors(record))


def save_record(record: Any, path: Path) -> None:
    """Write all tensors of a dataclass to a safetensors file, its sentences to the metadata."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in _tensors(record)}
    observation = getattr(record, "observation", None)
    with atomic_write(path) as partial:
        save_file(tensors, partial, {"instruction": json.dumps(getattr(observation, "instruction", []))})


def _not_finite(tensors: Any) -> list[str]:
    return [name for name, tensor in tensors if tensor.is_floating_point() and not tensor.isfinite().all()]


def _tensors(record: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(record, Tensor):
        yield prefix, record
    elif isinstance(record, dict):
        for key, value in record.items():
            yield from _tensors(value, f"{prefix}.{key}".lstrip("."))
    elif is_dataclass(record):
        for field in fields(record):
            yield from _tensors(getattr(record, field.name), f"{prefix}.{field.name}".lstrip("."))


def _last_good(trainer: Any) -> str:
    saved = trainer.checkpoint_callback
    path = getattr(saved, "last_model_path", "") or getattr(saved, "best_model_path", "") or trainer.ckpt_path
    return f"The last good checkpoint is {path}" if path else "There is no checkpoint yet"
