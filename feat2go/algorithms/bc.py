"""Behaviour cloning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from feat2go.algorithms.losses import masked_mean
from feat2go.core.protocols import Policy
from feat2go.core.types import PolicyBatch


class BC:
    """Cross-entropy of demonstrated action tokens, over the action bins only.

    This is OpenVLA's training loss (arXiv 2406.09246, section 3) without the stop token. The critic is left alone. A
    policy without log-probs brings a loss of its own, ``cloning_loss(tokens, mask, **inputs)``: flow matching, L1.

    Args:
        token_noise: standard deviation, in bins, of noise added to the demonstrated tokens. Neighbouring bins mean
            nearly the same action; with a few bins of noise the policy learns a smooth distribution, which
            reinforcement learning can explore from.
        num_bins: bins per dimension, the bound of the noisy tokens.
    """

    def __init__(self, token_noise: float = 0.0, num_bins: int = 256) -> None:
        if token_noise < 0:
            raise ValueError(f"token_noise is a standard deviation in bins, at least 0; got {token_noise}")
        self.token_noise = token_noise
        self.num_bins = num_bins

    def loss(self, policy: Policy, batch: PolicyBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean negative log-prob over the tokens that count, and the entropy to log."""
        seen = batch.observation
        inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
        if hasattr(policy, "cloning_loss"):
            return self._loss_of(policy, batch, inputs)
        now = policy.evaluate(self._blur(batch.tokens), temperature=1.0, **inputs)
        loss = -masked_mean(now.logprob, batch.mask)
        return loss, {"nll": loss.detach(), "entropy": masked_mean(now.entropy, batch.mask).detach()}

    def _loss_of(self, policy: Any, batch: PolicyBatch, inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        if self.token_noise:
            raise ValueError(
                f"token_noise is for action bins, which {type(policy).__name__} does not have; leave it at 0"
            )
        loss: Tensor = policy.cloning_loss(batch.tokens, batch.mask, **inputs)
        return loss, {"cloning_loss": loss.detach()}

    def _blur(self, tokens: Tensor) -> Tensor:
        if self.token_noise == 0:
            return tokens
        noise = torch.randn(tokens.shape, device=tokens.device) * self.token_noise
        return (tokens + noise.round().long()).clamp(0, self.num_bins - 1)
