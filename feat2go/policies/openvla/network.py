"""Pictures and tokens to hidden states and logits: the network of OpenVLA and OpenVLA-OFT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from feat2go.policies.openvla.configuration import OpenVLAConfig
from feat2go.policies.openvla.language import attention_mask_4d, make_llama
from feat2go.policies.openvla.projector import Projector
from feat2go.policies.openvla.vision import VisionBackbone


@dataclass(frozen=True)
class NetworkOutput:
    """S = P + T positions: the first text token, P patches (and proprioception), the other T - 1 text tokens.

    Attributes:
        logits: float32 (B, S, vocabulary).
        hidden_states_last: (B, S, D), after the language model's final norm.
        patch_features: (B, patches, vision width).
        projected_patches: (B, P, D), as the language model sees them.
    """

    logits: Tensor
    hidden_states_last: Tensor
    patch_features: Tensor
    projected_patches: Tensor


class OpenVLANetwork(nn.Module):
    """Vision towers, projector and language model under the names of the public checkpoints.

    Args:
        config: the checkpoint's.
        is_causal: False for OpenVLA-OFT, whose attention goes both ways and whose action embeddings are zero.
        film: whether the instruction modulates the towers (OpenVLA-OFT+).
    """

    def __init__(self, config: OpenVLAConfig, is_causal: bool = True, film: bool = False) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.film = film
        self.language_model = make_llama(config.text)
        width = self.language_model.config.hidden_size
        self.vision_backbone = VisionBackbone(config.towers, width if film else None)
        self.projector = Projector(config.vision_width, width, config.is_fused)
        vocabulary = int(config.text["vocab_size"]) - config.pad_to_multiple_of
        self.action_ids = range(vocabulary - config.num_action_bins, vocabulary)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights that are not adapted."""
        return cast(torch.dtype, self.language_model.model.embed_tokens.weight.dtype)

    @property
    def blocks(self) -> list[nn.Module]:
        """The repeated blocks of the towers and of the language model, which hold nearly all parameters."""
        of_towers = [block for tower in self.vision_backbone.towers.values() for block in tower.blocks]
        return [*of_towers, *self.language_model.model.layers]

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        proprio_tokens: Tensor | None = None,
        film_mask: Tensor | None = None,
    ) -> NetworkOutput:
        """One pass over whole sequences. Without ``is_causal``, the embeddings of action ids count as zero.

        Args:
            pixel_values: float (B, channels of n pictures, H, W).
            input_ids: int64 (B, T), padded on the right.
            attention_mask: (B, T), 0 or False at padding.
            proprio_tokens: (B, n, D), set behind the patches.
            film_mask: bool (B, T), the tokens whose mean modulates the towers; by default all but padding and actions.
        """
        attention_mask = attention_mask.bool()
        is_action = self.is_action(input_ids) & attention_mask
        features, projected = self.see(
            pixel_values, input_ids, attention_mask & ~is_action if film_mask is None else film_mask, proprio_tokens
        )
        hidden = self.read(projected, input_ids, attention_mask, None if self.is_causal else is_action)
        return NetworkOutput(self.logits(hidden), hidden, features, projected)

    def is_action(self, input_ids: Tensor) -> Tensor:
        """Bool: which ids stand for actions."""
        return (input_ids >= self.action_ids.start) & (input_ids < self.action_ids.stop)

    def see(
        self, pixel_values: Tensor, input_ids: Tensor, film_mask: Tensor, proprio_tokens: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Patch features, and what the language model is given of them: (B, P, vision width) and (B, P, D)."""
        instruction = None
        if self.film:
            weight = film_mask[..., None].to(self.dtype)
            instruction = (self._embed(input_ids) * weight).sum(1) / weight.sum(1)
        features = self.vision_backbone(pixel_values.to(self.dtype), instruction)
        projected = self.projector(features)
        if proprio_tokens is not None:
            projected = torch.cat([projected, proprio_tokens.to(projected.dtype)], dim=1)
        return features, projected

    def read(
        self,
        projected: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        is_zero: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Hidden states (B, P + T, D) of the sequence, after the final norm.

        Args:
            projected: (B, P, D), put behind the first token.
            input_ids: int64 (B, T), padded on the right. Positions count through, padding included.
            attention_mask: bool (B, T).
            is_zero: bool (B, T), tokens whose embedding is zero.
            cache: filled with keys and values, for :meth:`read_next`.
        """
        embeddings = self._embed(input_ids)
        if is_zero is not None:
            embeddings = embeddings.masked_fill(is_zero[..., None], 0.0)
        sequence = torch.cat([embeddings[:, :1], projected.to(embeddings.dtype), embeddings[:, 1:]], dim=1)
        mask = attention_mask_4d(splice_ones(attention_mask, projected.shape[1]), self.is_causal)
        output = self.language_model.model(
            inputs_embeds=sequence, attention_mask=mask, past_key_values=cache, use_cache=cache is not None
        )
        return cast(Tensor, output.last_hidden_state)

    def read_next(self, input_ids: Tensor, position: Tensor, attention_mask: Tensor, cache: Any) -> Tensor:
        """Hidden state (B, D) of one more token.

        Args:
            input_ids: int64 (B,).
            position: int64 (B,), which differs from the cache's length in rows with padding.
            attention_mask: bool (B, S), of what is in the cache and this token.
            cache: of what came before.
        """
        output = self.language_model.model(
            inputs_embeds=self._embed(input_ids[:, None]),
            attention_mask=attention_mask[:, None, None, :],
            position_ids=position[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        return cast(Tensor, output.last_hidden_state[:, 0])

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> float32 (..., vocabulary)."""
        return cast(Tensor, self.language_model.lm_head(hidden).float())

    def _embed(self, input_ids: Tensor) -> Tensor:
        return cast(Tensor, self.language_model.model.embed_tokens(input_ids))


def splice_ones(mask: Tensor, num_patches: int) -> Tensor:
    """Bool (B, T) -> (B, P + T): the patches behind the first token are always seen."""
    return torch.cat([mask[:, :1], mask.new_ones(len(mask), num_patches), mask[:, 1:]], dim=1)
