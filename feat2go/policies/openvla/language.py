"""The language model: transformers' Llama, unchanged, driven with embeddings and masks of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def make_llama(text: Mapping[str, Any]) -> LlamaForCausalLM:
    """A Llama of the sizes in ``text_config``, on PyTorch's default device."""
    config = LlamaConfig(**text)
    config._attn_implementation = "sdpa"
    # The cache is made where it is wanted.
    config.use_cache = False
    llama = LlamaForCausalLM(config)
    llama.model.rotary_emb = Rotary(config)
    return llama


class Rotary(LlamaRotaryEmbedding):
    """Rotary frequencies that stay float32 and real.

    They are no parameters: a checkpoint does not hold them, so a network that is built without memory must not lose
    them; and in bfloat16 position 300 would be off by a whole radian.
    """

    def __init__(self, config: LlamaConfig) -> None:
        with torch.device("cpu"):
            super().__init__(config)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Rotary:
        device = fn(torch.empty(0, device=self.inv_freq.device)).device
        for name, buffer in self.named_buffers(recurse=False):
            self._buffers[name] = buffer.to(device)
        return self


def attention_mask_4d(mask: Tensor, is_causal: bool) -> Tensor | None:
    """Which position sees which, for scaled-dot-product attention.

    Args:
        mask: bool (B, S), False at padding.
        is_causal: whether a position sees only what comes before it. The public OpenVLA-OFT checkpoints were trained
            with attention in both directions, which stock Llama has not.

    Returns:
        Bool (B, 1, S, S); None stands for causal attention without padding, for which there are faster kernels.
    """
    if is_causal and bool(mask.all()):
        return None
    length = mask.shape[1]
    seen = mask[:, None, None, :].expand(-1, 1, length, length)
    if not is_causal:
        return seen
    return seen & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
