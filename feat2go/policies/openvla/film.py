"""FiLM weights of OpenVLA-OFT+: one scale and one shift per vision block, as a tiny or a released checkpoint has them.

A released file holds the whole wrapped backbone, ``vision_backbone.featurizer.blocks.N.{block.*, scale.*, shift.*}``,
in which the linear layers are still split into base weights and LoRA adapters.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

FILM_FILES = ("film.safetensors", "vision_backbone--*_checkpoint.pt")
# The released adapters were trained with alpha = min(rank, 16).
_MAX_ALPHA = 16


def find_one(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    """The newest file with one of these names, or None. Released names carry the training step."""
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return max(found, key=_step, default=None)


def _step(path: Path) -> int:
    digits = "".join(filter(str.isdigit, path.name))
    return int(digits) if digits else 0


def read_extra(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or ``.pt`` file, without the prefix of a parallel wrapper."""
    tensors = (
        load_file(path)
        if path.suffix == ".safetensors"
        else torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    )
    return {name.removeprefix("module."): tensor.to(dtype) for name, tensor in tensors.items()}


def read_film(folder: Path, tensors: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Scale and shift of every block. Where the file has the backbone's own weights, they replace those in ``tensors``.

    Raises:
        FileNotFoundError: if the folder has no such file.
    """
    path = find_one(folder, FILM_FILES)
    if path is None:
        raise FileNotFoundError(f"{folder} has no FiLM weights ({' or '.join(FILM_FILES)}); set film to false")
    wrapped = merge_lora(read_extra(path, dtype))
    film: dict[str, Tensor] = {}
    for name, tensor in wrapped.items():
        if ".scale." in name or ".shift." in name:
            film[name] = tensor
        else:
            tensors[name.replace(".block.", ".")] = tensor
    return film


def merge_lora(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fold peft's ``base_layer`` and ``lora_A``, ``lora_B`` into plain weights; other tensors stay."""
    merged = {name.replace(".base_layer.", "."): t for name, t in tensors.items() if ".lora_" not in name}
    for name, down in tensors.items():
        if not name.endswith(".lora_A.default.weight"):
            continue
        layer = name.removesuffix(".lora_A.default.weight")
        up = tensors[f"{layer}.lora_B.default.weight"]
        rank = down.shape[0]
        weight = merged[f"{layer}.weight"]
        # A convolution's adapters are convolutions: the first with its kernel, the second with one of a single pixel.
        change = (up.flatten(1).float() @ down.flatten(1).float()).view_as(weight)
        merged[f"{layer}.weight"] = (weight.float() + min(rank, _MAX_ALPHA) / rank * change).to(weight.dtype)
    return merged
