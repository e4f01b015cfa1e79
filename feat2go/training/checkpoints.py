"""Checkpoints that are whole or not there, and say what is wrong with one that can't be used."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from feat2go.core.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """A checkpoint is on the disk in full before it takes the place of the one before.

    Lightning's own writer holds it in memory twice, and puts its unfinished file where a move need not be atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write it.

        Raises:
            OSError: if it can't be written, for want of space or permission; what was there is kept.
        """
        target = Path(path)
        try:
            with atomic_write(target) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:
            # PyTorch's writer covers the reason with an error of its own.
            reason = error if isinstance(error, OSError) else error.__context__
            if not isinstance(reason, OSError):
                raise
            raise OSError(
                f"the checkpoint {target} can't be written: {reason.strerror or reason}. {_what_is_kept(target)}"
            ) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read it; see :func:`read_checkpoint`."""
        return read_checkpoint(Path(path), weights_only=weights_only is not False)


def read_checkpoint(path: Path, weights_only: bool = True) -> dict[str, Any]:
    """A checkpoint, its tensors on the CPU and read from the disk when they are needed.

    Args:
        path: the file.
        weights_only: refuse anything but tensors and plain values.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not a whole checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} is damaged or no checkpoint ({str(error).splitlines()[0]}). {_what_is_kept(path)}"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{path} is no checkpoint of a training: it has no state_dict")
    return checkpoint


def require_same_config(saved: dict[str, Any] | None, configured: dict[str, Any]) -> None:
    """Refuse a checkpoint whose policy is built in another way than the config's.

    Paths may differ: a folder may have been moved since.

    Raises:
        ValueError: naming what differs.
    """
    if saved is None:
        raise ValueError("the checkpoint of --ckpt_path holds no policy: another kind of training has left it")
    differing = [
        f"{name} is {saved.get(name)!r} there and {configured.get(name)!r} here"
        for name in sorted({*saved, *configured})
        if saved.get(name) != configured.get(name) and (name == "model_type" or not isinstance(saved.get(name), str))
    ]
    if differing:
        raise ValueError(f"the checkpoint of --ckpt_path is of another config: {'; '.join(differing)}")


def _what_is_kept(path: Path) -> str:
    # Without those that a killed process left half-written.
    others = sorted(path.parent.glob("[!.]*.ckpt"), key=lambda file: file.stat().st_mtime, reverse=True)
    names = ", ".join(str(other) for other in others if other != path)
    if path.is_file():
        return f"It is as it was before{f', beside {names}' if names else ''}"
    return f"There is {names or 'no other one'}"
