"""Keeping the layers of a transformers model that are needed."""

from __future__ import annotations

from typing import Any

from torch import nn

# What decides a transformer's features beside its weights and layer. The rest of a config shows in the weights' shapes
# or is for training.
_DECISIVE = ("num_attention_heads", "layer_norm_eps", "hidden_act", "rope_theta")


def keep_layers(blocks: nn.ModuleList, layer: int) -> int:
    """Drop the blocks after ``layer``, counted as ``hidden_states`` are: 0 is the embedding, -1 the last one's output.

    Returns:
        The layer as a number of blocks.

    Raises:
        ValueError: if there is no such layer.
    """
    depth = len(blocks)
    if not -depth - 1 <= layer <= depth:
        raise ValueError(f"layer must be in [{-depth - 1}, {depth}] for a model of {depth} blocks, got {layer}")
    layer %= depth + 1
    del blocks[layer:]
    return layer


def decisive_settings(config: Any) -> dict[str, object]:
    """The fields of a model's config that change its features although its weights stay the same."""
    return {name: getattr(config, name) for name in _DECISIVE if hasattr(config, name)}
