"""A network with a checkpoint's weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from feat2go.policies.openvla.checkpoint import StoredTensors, check_shapes
from feat2go.policies.openvla.configuration import OpenVLAConfig
from feat2go.policies.openvla.film import read_film
from feat2go.policies.openvla.network import OpenVLANetwork

LM_HEAD = "language_model.lm_head.weight"
EMBEDDING = "language_model.model.embed_tokens.weight"


def choose_dtype(name: str, config: OpenVLAConfig) -> torch.dtype:
    """``"auto"`` is the config's, float32 if it has none.

    Raises:
        ValueError: for anything that is no floating dtype.
    """
    if name == "auto":
        name = config.raw.get("torch_dtype") or config.raw.get("dtype") or "float32"
    dtype = getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype must be auto, float32, bfloat16 or float16; got '{name}'")
    return dtype


def load_network(
    folder: Path, config: OpenVLAConfig, dtype: torch.dtype, is_causal: bool, film: bool
) -> tuple[OpenVLANetwork, dict[str, Tensor]]:
    """Build the network around the folder's tensors, without initialising it first.

    Returns:
        The network, and the checkpoint's tensors that it has no use for.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if tensors are missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        network = OpenVLANetwork(config, is_causal, film)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    stored = StoredTensors.of_folder(folder)
    is_tied = network.language_model.config.tie_word_embeddings and LM_HEAD not in stored.shapes
    film_names = {name for name in expected if is_film(name)}
    left_out = film_names | ({LM_HEAD} if is_tied else set())
    check_shapes(folder, stored.shapes, {name: shape for name, shape in expected.items() if name not in left_out})
    tensors = stored.read(dtype)
    if is_tied:
        tensors[LM_HEAD] = tensors[EMBEDDING]
    if film:
        tensors |= read_film(folder, tensors, dtype)
        check_shapes(folder, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, expected)
    unused = drop_unused(network, tensors)
    assign(network, tensors)
    if network.language_model.config.tie_word_embeddings:
        network.language_model.lm_head.weight = network.language_model.model.embed_tokens.weight
    return network, unused


def assign(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Make the tensors the module's parameters."""
    module.load_state_dict(tensors, assign=True)
    # Assigned tensors take over the flag, and those of a file don't ask for gradients.
    module.requires_grad_(True)


def is_film(name: str) -> bool:
    """Whether a parameter's name is that of FiLM."""
    return name.rsplit(".", 2)[-2] in ("scale", "shift")


def drop_unused(network: OpenVLANetwork, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move what stands behind the features from ``tensors`` and the network to a dictionary of its own."""
    unused: dict[str, Tensor] = {}
    for attribute, tower in network.vision_backbone.towers.items():
        names = [f"vision_backbone.{attribute}.{name}" for name in tower.unused_names()]
        unused |= {name: tensors.pop(name) for name in names}
        tower.drop_unused()
    return unused
