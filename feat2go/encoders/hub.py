"""Loading models of transformers so that nothing is silently untrained, and keeping the layers that are needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

# What decides a transformer's features beside its weights and layer. The rest of a config shows in the weights' shapes
# or is for training.
_DECISIVE = ("num_attention_heads", "layer_norm_eps", "hidden_act", "rope_theta")


def load_pretrained(model_class: Any, model: str, **config: object) -> Any:
    """A float32 model from a hub id or a local folder; safetensors only, no code from the hub.

    Args:
        model_class: a class of transformers.
        model: ``"organisation/name"`` or a folder with ``config.json`` and ``model.safetensors``.
        config: fields of the model's config to override.

    Raises:
        ValueError: if there is no such model, or it is not one of this class: the message says what was found.
    """
    expected = f"a {model_class.__name__} checkpoint"
    with _quiet():
        try:
            loaded, info = model_class.from_pretrained(
                model, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **config
            )
        except OSError as error:
            raise ValueError(
                f"'{model}' can't be loaded as {expected}: {str(error).splitlines()[0]} "
                "Give a folder with config.json and model.safetensors, or a hub id while online."
            ) from error
        except RuntimeError as error:
            raise ValueError(f"'{model}' is not {expected}: its weights have other shapes") from error
    if info["missing_keys"]:
        names = sorted(info["missing_keys"])
        raise ValueError(f"'{model}' is not {expected}: {len(names)} weights are missing, such as {names[0]}")
    return loaded


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


@contextmanager
def _quiet() -> Iterator[None]:
    # transformers reports every weight that it did not use, such as a text tower; a missing one is an error here.
    from transformers.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(verbosity)
