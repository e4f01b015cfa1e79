"""Stop at the first number that is not finite, with what led to it on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from feat2go.core.distributed import global_sum
from feat2go.core.files import atomic_write
from feat2go.training.strategies import local


class NotFiniteError(ValueError):
    """Something is NaN or infinite. The message says what, where the batch is and what to go on from."""


class ClippedModule(LightningModule):
    """A module whose every step searches loss and gradients for what is not finite, and clips with the same norm.

    Its ``training_step`` calls :meth:`note_loss`.

    Attributes:
        grad_norm: scalar, of the last step's gradients before they were clipped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grad_norm = torch.zeros(())
        self._last: tuple[Any, Tensor] = (None, torch.zeros(()))

    def note_loss(self, batch: Any, loss: Tensor) -> None:
        """The scalar that the next gradients are of, and the dataclass of tensors to save if they are not finite."""
        self._last = batch, loss.detach()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Called by Lightning before each step of the optimiser.

        Raises:
            NotFiniteError: naming the tensors.
        """
        batch, loss = self._last
        self.grad_norm = clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm, loss, batch)


def clip_gradients(
    module: LightningModule,
    optimizer: Optimizer,
    bound: float | None,
    algorithm: str | None,
    loss: Tensor,
    batch: Any,
) -> Tensor:
    """Clip the gradients as the Trainer was told to; with a loss or a gradient that is not finite, stop all processes.

    One norm serves both.

    Args:
        module: whose parameters learn.
        optimizer: has them.
        bound: ``gradient_clip_val``; None for none.
        algorithm: ``gradient_clip_algorithm``, ``norm`` if None.
        loss: scalar, that the gradients are of.
        batch: a dataclass of tensors to save if something is not finite.

    Returns:
        Scalar, the norm of all gradients before they were clipped.

    Raises:
        NotFiniteError: naming the tensors.
    """
    learned = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = get_total_norm([p.grad for p in learned])
    total = norm.full_tensor() if isinstance(norm, DTensor) else norm
    # Finite only if all of them are. It may overflow where they are: then nothing is found.
    found = [] if (total + loss.to(total.device)).isfinite() else _not_finite_gradients(module, loss)
    stop_if_any(module.trainer, found, batch, "gradients")
    if algorithm == "value":
        module.clip_gradients(optimizer, bound, algorithm)
    elif bound:
        clip_grads_with_norm_(learned, bound, norm)
    return total


def _not_finite_gradients(module: LightningModule, loss: Tensor) -> list[str]:
    if not loss.isfinite():
        return ["loss"]
    return _not_finite((name, local(p.grad)) for name, p in module.named_parameters() if p.grad is not None)


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
