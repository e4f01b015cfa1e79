"""The last token's hidden state of a batch, with the text before the image computed once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_PER_TOKEN = ("input_ids", "mm_token_type_ids", "token_type_ids")


def last_hidden(backbone: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """The hidden state of each row's last token.

    Args:
        backbone: an image-text model of transformers, without its language-modelling head.
        inputs: what it takes; ``input_ids`` and ``attention_mask`` (B, L), padded on the right.

    Returns:
        (B, D), after the model's final norm.
    """
    hidden = backbone(**inputs, use_cache=False).last_hidden_state
    return _at(hidden, inputs["attention_mask"].sum(dim=1) - 1)


@torch.no_grad()
def last_hidden_shared(backbone: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The same as :func:`last_hidden`, where rows begin with the same tokens: those go through the model once.

    Keys and values of the common beginning, up to the image, are computed for one row and used by all. Models that
    attend to what follows (PaliGemma, parts of Gemma 3: those that take ``token_type_ids``) are computed as they are.
    """
    prefix = common_prefix(inputs, int(backbone.config.image_token_id))
    if prefix == 0 or len(inputs["input_ids"]) == 1 or "token_type_ids" in inputs:
        return last_hidden(backbone, inputs)
    positions = _positions(backbone, inputs)
    first = {name: position[..., :1, :prefix] for name, position in positions.items()}
    cache = backbone(input_ids=inputs["input_ids"][:1, :prefix], **first, use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(inputs["input_ids"]))
    rest = {name: tensor[:, prefix:] if name in _PER_TOKEN else tensor for name, tensor in inputs.items()}
    following = {name: position[..., prefix:] for name, position in positions.items()}
    hidden = backbone(**rest, **following, past_key_values=cache, use_cache=True).last_hidden_state
    return _at(hidden, inputs["attention_mask"].sum(dim=1) - 1 - prefix)


def common_prefix(inputs: dict[str, Tensor], image_token_id: int) -> int:
    """How many tokens all rows have in common before the first image token."""
    ids = inputs["input_ids"]
    is_common = (ids == ids[:1]).all(dim=0) & (ids[0] != image_token_id) & inputs["attention_mask"].bool().all(dim=0)
    return int(is_common.long().cumprod(dim=0).sum())


def _positions(backbone: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Positions of all tokens, for models whose images are laid out in space (Qwen-VL). Others count by themselves."""
    if not hasattr(backbone, "get_rope_index"):
        return {}
    names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
    position_ids, _ = backbone.get_rope_index(**{name: inputs[name] for name in names if name in inputs})
    return {"position_ids": position_ids}


def _at(hidden: Tensor, index: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), index]
