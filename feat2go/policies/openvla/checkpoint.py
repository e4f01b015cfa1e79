"""Reading and writing the files of a checkpoint: nothing missing, nothing unexpected, nothing of another shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from feat2go.core.files import atomic_write

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# Copied as they are when a policy is saved.
COMPANION_FILES = (
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "dataset_statistics.json",
)
_NUM_NAMES_SHOWN = 5


def resolve_folder(path_or_hub_id: str) -> Path:
    """A local folder, or the local copy of a hub id, fetched if need be. No code is fetched.

    Raises:
        FileNotFoundError: if it is neither.
    """
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        patterns = ["*.json", "*.safetensors", "*.model", "*.pt"]
        # Released adapters are merged into the weights already.
        return Path(snapshot_download(path_or_hub_id, allow_patterns=patterns, ignore_patterns="lora_adapter/*"))
    except (OSError, HFValidationError) as error:
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"'{path_or_hub_id}' is neither a folder nor a hub id that can be fetched: {reason}"
        ) from error


@dataclass(frozen=True)
class StoredTensors:
    """The tensors of a folder's safetensors, read one by one.

    Attributes:
        files: tensor name -> the file that holds it.
        shapes: tensor name -> shape.
    """

    files: dict[str, Path]
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of_folder(cls, folder: Path) -> StoredTensors:
        """Single file, or shards with their index.

        Raises:
            FileNotFoundError: without weights, or if a shard is missing.
            ValueError: if a shard lacks what the index says it holds.
        """
        index = folder / INDEX_FILE
        if not index.is_file():
            return cls.of_file(folder / WEIGHTS_FILE)
        weight_map: dict[str, str] = json.loads(index.read_text())["weight_map"]
        shards = [cls.of_file(folder / name) for name in sorted(set(weight_map.values()))]
        files = {name: path for shard in shards for name, path in shard.files.items()}
        shapes = {name: shape for shard in shards for name, shape in shard.shapes.items()}
        absent = [name for name, file in weight_map.items() if files.get(name) != folder / file]
        if absent:
            raise ValueError(f"{index}: the shards lack {_some(absent)}")
        return cls(files, shapes)

    @classmethod
    def of_file(cls, path: Path) -> StoredTensors:
        """One safetensors file.

        Raises:
            FileNotFoundError: if it isn't there.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path.parent} is no whole checkpoint: {path.name} is missing")
        with safe_open(path, framework="pt") as stored:
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
        return cls(dict.fromkeys(shapes, path), shapes)

    def read(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """All tensors, converted one by one."""
        tensors: dict[str, Tensor] = {}
        for path in sorted(set(self.files.values())):
            with safe_open(path, framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118
                    tensors[name] = stored.get_tensor(name).to(dtype)
        return tensors


def check_shapes(
    source: Path,
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Compare names and shapes.

    Raises:
        ValueError: naming the first tensors that are missing, unexpected or of another shape.
    """
    complaints = []
    missing = [name for name in expected if name not in found]
    if missing:
        complaints.append(f"missing: {_some(missing)}")
    unexpected = [name for name in found if name not in expected]
    if unexpected:
        complaints.append(f"unexpected: {_some(unexpected)}")
    others = [
        f"{name} {found[name]} instead of {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    if others:
        complaints.append(f"of another shape: {_some(others)}")
    if complaints:
        raise ValueError(f"{source}: the tensors don't fit config.json; {'; '.join(complaints)}")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NUM_NAMES_SHOWN])
    rest = len(names) - _NUM_NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def write_weights(folder: Path, tensors: Mapping[str, Tensor], max_shard_size: str = "5GB") -> None:
    """Write ``model.safetensors``, or shards with their index where that would be larger."""
    from huggingface_hub import split_torch_state_dict_into_shards

    split = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=max_shard_size)
    for file, names in split.filename_to_tensors.items():
        write_tensors(folder / file, {name: tensors[name] for name in names})
    if split.is_sharded:
        write_json(folder / INDEX_FILE, {"metadata": split.metadata, "weight_map": split.tensor_to_filename})
    written = {INDEX_FILE} if split.is_sharded else set()
    for path in (folder / INDEX_FILE, *folder.glob("model*.safetensors")):
        if path.name not in written | split.filename_to_tensors.keys():
            path.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one safetensors file, whole or not at all."""
    with atomic_write(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, {"format": "pt"})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON file, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def copy_companions(source: Path, target: Path) -> None:
    """Copy tokenizer, preprocessor and statistics files, those that are there."""
    for name in COMPANION_FILES:
        if (source / name).is_file() and source.resolve() != target.resolve():
            with atomic_write(target / name) as partial:
                shutil.copyfile(source / name, partial)
