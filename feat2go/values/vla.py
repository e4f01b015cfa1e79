"""A value network on the policy's own backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from feat2go.core.slots import Policy
from feat2go.values.bin_head import BinHead
from feat2go.values.hashing import weights_hash
from feat2go.values.trained_part import keep_trained_only
from feat2go.values.vlm import require_images


class VLABackboneValue(nn.Module):
    """A value token behind the prompt of a vision-language-action policy (RFTF, arXiv 2505.19767).

    The backbone begins with the policy's weights. A learned token follows the prompt; its hidden state goes through
    LayerNorm, GELU and an MLP to the bins. What of the backbone is trained is up to the policy's arguments: everything,
    or adapters with ``lora_rank``. The policy's critic and its output layer are not part of it.

    Args:
        policy: builds the policy, one with a ``network`` that gives ``hidden_states_last`` and ``projected_patches``
            and puts the patches behind the first text token: ``openvla``, or ``openvla_oft`` without proprioception.
        num_bins: of the distribution.
        head_width: of the MLP.

    Raises:
        ValueError: for a policy without such a network.
    """

    def __init__(self, policy: Callable[[], Policy], num_bins: int = 201, head_width: int = 512) -> None:
        super().__init__()
        built: Any = policy()
        network = getattr(built, "network", None)
        if not isinstance(network, nn.Module) or not hasattr(network, "language_model"):
            raise ValueError(
                "a value token needs a policy with a language model, openvla or openvla_oft; "
                f"got {type(built).__name__}"
            )
        self.num_bins = num_bins
        self._preprocess = built.preprocess
        self.network: Any = built.network
        self.network.language_model.lm_head.requires_grad_(False)
        self.fingerprints: Mapping[str, str] = _fingerprints(network)
        width = int(self.network.language_model.config.hidden_size)
        self.value_token = nn.Parameter(0.02 * torch.randn(width))
        self.head = BinHead(width, head_width, num_bins)
        keep_trained_only(self)

    @property
    def image_encoder(self) -> None:
        """None: images are kept as they are."""
        return None

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> the same.

        Raises:
            ValueError: for another dtype or shape.
        """
        return require_images(images)

    def forward(self, prepared: Tensor, instruction: Sequence[str]) -> Tensor:
        """Images uint8 (B, H, W, 3) and B sentences -> logits (B, num_bins)."""
        device = self.value_token.device
        inputs = {name: value.to(device) for name, value in self._preprocess(prepared, list(instruction)).items()}
        lengths = inputs["attention_mask"].sum(dim=1)
        row = torch.arange(len(lengths), device=device)
        # The ids at the value token's places don't matter: its embedding is set.
        mask = nn.functional.pad(inputs["attention_mask"], (0, 1))
        mask[row, lengths] = 1
        inputs |= {"input_ids": nn.functional.pad(inputs["input_ids"], (0, 1)), "attention_mask": mask}
        is_value = torch.zeros_like(mask, dtype=torch.bool)
        is_value[row, lengths] = True

        def set_token(module: nn.Module, args: Any, embedded: Tensor) -> Tensor:
            return torch.where(is_value[..., None], self.value_token.to(embedded.dtype), embedded)

        hook = self.network.language_model.get_input_embeddings().register_forward_hook(set_token)
        try:
            output = self.network(**inputs)
        finally:
            hook.remove()
        # Patches stand behind the first token.
        hidden = output.hidden_states_last[row, lengths + output.projected_patches.shape[1]]
        logits: Tensor = self.head(hidden)
        return logits


def _fingerprints(network: nn.Module) -> dict[str, str]:
    """Of what is frozen, but not of the adapters of the output layer: they are random, and nobody asks them."""
    frozen = {name: p for name, p in network.named_parameters() if not p.requires_grad and ".lora_" not in name}
    return {"backbone": weights_hash(frozen)}
