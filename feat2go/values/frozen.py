"""A trained value model in a folder, and the predictor that RL asks."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import feat2go
from feat2go.values.card import model_card
from feat2go.values.heads import expectation
from feat2go.values.spec import factory_of, spec_of

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
BATCH_SIZE = 64


class FrozenValue:
    """A value model that only predicts. Satisfies ``feat2go.core.ValuePredictor``.

    Args:
        network: a :class:`feat2go.values.network.ValueNetwork`; switched to eval mode, without gradients.
        value: the factory that ``network`` was built with, for :meth:`save`.
        metrics: how good it is, for the model card.

    Raises:
        ValueError: if the factory can't be written down, see :func:`feat2go.values.spec.spec_of`.
    """

    def __init__(
        self, network: nn.Module, value: Callable[[], nn.Module], metrics: Mapping[str, float] | None = None
    ) -> None:
        self.network: Any = network.eval().requires_grad_(False)
        self.spec = spec_of(value)
        self.metrics = dict(metrics or {})

    def predict(self, images: Tensor, instruction: Sequence[str]) -> Tensor:
        """Progress of images; independent of any autocast around the call.

        Args:
            images: uint8 (B, H, W, 3) on any device.
            instruction: B sentences.

        Returns:
            float32 (B,) in [0, 1], on the device of ``images``.

        Raises:
            ValueError: if the two have different lengths.
        """
        if len(images) != len(instruction):
            raise ValueError(f"got {len(images)} images and {len(instruction)} instructions")
        device = next(self.network.parameters()).device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            values = [
                expectation(self.network(self.network.prepare(images[rows].to(device)), instruction[rows]))
                for rows in _slices(len(images))
            ]
        return torch.cat(values).to(images.device) if values else torch.zeros(0, device=images.device)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json, model.safetensors (the trained part) and a model card; all of them or none.

        A value model that is already in the folder is replaced.

        Raises:
            FileExistsError: if the folder holds something else.
        """
        target = Path(folder)
        if target.exists() and not (target / CONFIG).is_file():
            raise FileExistsError(f"{target} exists and holds no value model; choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            staged, replaced = Path(scratch, "new"), Path(scratch, "old")
            staged.mkdir()
            self._write(staged)
            if target.exists():
                target.replace(replaced)
            staged.replace(target)

    def _write(self, folder: Path) -> None:
        config = {
            "feat2go_version": feat2go.__version__,
            "network": self.spec,
            "fingerprints": dict(self.network.fingerprints),
            "metrics": {name: value if math.isfinite(value) else None for name, value in self.metrics.items()},
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / WEIGHTS)
        (folder / CARD).write_text(model_card(config, sum(tensor.numel() for tensor in state.values())))

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], device: torch.device | str = "cpu", allow_any_class: bool = False
    ) -> FrozenValue:
        """Read what :meth:`save` wrote. The frozen encoder is rebuilt from its own source.

        Args:
            folder: of the value model.
            device: to put it on.
            allow_any_class: see :func:`feat2go.values.spec.factory_of`.

        Raises:
            FileNotFoundError: if there is no value model in the folder.
            ValueError: if its configuration is malformed or names a class that is not allowed, or if a frozen part that
                was rebuilt is not the one that the model was trained with.
        """
        config = _read_config(Path(folder))
        value = factory_of(config["network"], allow_any_class)
        network = value()
        load_weights(folder, network)
        metrics = {name: math.nan if number is None else number for name, number in config["metrics"].items()}
        return cls(network.to(device), value, metrics)


def load_weights(folder: str | os.PathLike[str], network: Any) -> None:
    """Fill a network with the trained part of a saved value model.

    Args:
        folder: that :meth:`FrozenValue.save` wrote.
        network: built as the saved one was.

    Raises:
        FileNotFoundError: if there is no value model in the folder.
        ValueError: if the saved network was another one, or its frozen parts were.
    """
    config = _read_config(Path(folder))
    _check_fingerprints(Path(folder), config["fingerprints"], network.fingerprints)
    try:
        network.load_state_dict(load_file(Path(folder) / WEIGHTS))
    except RuntimeError as error:
        problem = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ValueError(f"the value model in {folder} does not fit this network: {problem[:300]}") from None


def _slices(length: int) -> list[slice]:
    return [slice(start, start + BATCH_SIZE) for start in range(0, length, BATCH_SIZE)]


def _read_config(folder: Path) -> dict[str, Any]:
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise FileNotFoundError(
                f"{folder} holds no value model: {file} is missing. "
                "`feat2go fit` of a ValueModule writes RUN_DIR/value."
            )
    try:
        config = json.loads((folder / CONFIG).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG} is not valid JSON: {error}") from None
    missing = {"network", "fingerprints", "metrics"} - set(config)
    if missing:
        raise ValueError(
            f"{folder / CONFIG} lacks {', '.join(sorted(missing))}; it was not written by FrozenValue.save"
        )
    return dict(config)


def _check_fingerprints(folder: Path, saved: Mapping[str, str], rebuilt: Mapping[str, str]) -> None:
    for part in sorted(saved.keys() | rebuilt.keys()):
        if saved.get(part) != rebuilt.get(part):
            raise ValueError(
                f"the {part} of the value model in {folder} is not the one that it was trained with: "
                f"its fingerprint is {rebuilt.get(part)}, expected {saved.get(part)}. "
                "Its weights or settings have changed since."
            )
