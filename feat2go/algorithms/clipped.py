"""The actor's part of a loss, shared by the algorithms that clip importance ratios."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.algorithms.losses import (
    LEVELS,
    aggregate,
    at_level,
    clipped_surrogate,
    kl_to_reference,
    masked_mean,
)
from feat2go.core.protocols import Policy
from feat2go.core.types import PolicyBatch, PolicyEvaluation


class ClippedObjective:
    """``surrogate - entropy_coef * entropy + kl_coef * KL(pi, start)``, see :mod:`feat2go.algorithms.losses`.

    Args:
        clip_low: lower clip of the importance ratio.
        clip_high: upper clip.
        dual_clip: bound for negative advantages, or None.
        logprob_level: ``token``, ``action`` or ``chunk``: what one importance ratio spans.
        entropy_coef: weight of the entropy bonus.
        kl_coef: weight of the KL to the policy that training started from.
        temperature: of the sampled distribution.

    Raises:
        ValueError: for a setting out of its range.
    """

    def __init__(
        self,
        clip_low: float,
        clip_high: float,
        dual_clip: float | None,
        logprob_level: str,
        entropy_coef: float,
        kl_coef: float,
        temperature: float,
    ) -> None:
        require_level(logprob_level)
        require_temperature(temperature)
        if clip_low <= 0 or clip_high <= 0:
            raise ValueError(f"clip_low and clip_high are above 0; got {clip_low} and {clip_high}")
        if dual_clip is not None and dual_clip <= 1:
            raise ValueError(f"dual_clip is above 1, or null; got {dual_clip}")
        if kl_coef < 0:
            raise ValueError(f"kl_coef is at least 0; got {kl_coef}")
        self.clip_low = clip_low
        self.clip_high = clip_high
        self.dual_clip = dual_clip
        self.logprob_level = logprob_level
        self.entropy_coef = entropy_coef
        self.kl_coef = kl_coef
        self.temperature = temperature

    def __call__(
        self, policy: Policy, batch: PolicyBatch, reference: Policy | None
    ) -> tuple[Tensor, dict[str, Tensor], PolicyEvaluation]:
        """Scalar loss, scalars to log, and what the policy says now.

        Raises:
            ValueError: if the reference is needed and missing.
        """
        seen = batch.observation
        inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
        now = policy.evaluate(batch.tokens, temperature=self.temperature, **inputs)
        logprob, mask = aggregate(now.logprob, batch.mask, self.logprob_level, policy.action_dim)
        old_logprob, _ = aggregate(batch.logprob, batch.mask, self.logprob_level, policy.action_dim)
        advantage = at_level(batch.advantage, self.logprob_level, policy.action_dim)

        surrogate = clipped_surrogate(
            logprob, old_logprob, advantage, mask, self.clip_low, self.clip_high, self.dual_clip
        )
        entropy = masked_mean(now.entropy, batch.mask)
        loss = surrogate - self.entropy_coef * entropy
        metrics = {"surrogate": surrogate, "entropy": entropy}
        if self.kl_coef > 0:
            if reference is None:
                raise ValueError("kl_coef > 0 needs the reference policy")
            with torch.no_grad():
                start = reference.evaluate(batch.tokens, temperature=self.temperature, **inputs)
            kl = kl_to_reference(now.logprob, start.logprob, batch.mask)
            loss = loss + self.kl_coef * kl
            metrics["kl_to_start"] = kl
        with torch.no_grad():
            metrics |= self._drift(logprob, old_logprob, mask)
        return loss, metrics, now

    def _drift(self, logprob: Tensor, old_logprob: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """How far the policy is from the one that acted."""
        log_ratio = (logprob - old_logprob).masked_fill(~mask, 0.0)
        ratio = log_ratio.exp()
        is_clipped = (ratio < 1 - self.clip_low) | (ratio > 1 + self.clip_high)
        return {
            "ratio": masked_mean(ratio, mask),
            # The mean of the ratio is 1 in expectation whatever the two distributions are; this is not.
            "ratio_error": masked_mean((ratio - 1).abs(), mask),
            "kl": masked_mean(ratio - 1 - log_ratio, mask),
            "clip_fraction": masked_mean(is_clipped.float(), mask),
        }


def require_level(logprob_level: str) -> None:
    """Refuse an unknown level of log-probs."""
    if logprob_level not in LEVELS:
        raise ValueError(f"unknown logprob_level '{logprob_level}'; known: {', '.join(LEVELS)}")


def require_temperature(temperature: float) -> None:
    """Refuse a greedy policy, which does not explore."""
    if temperature <= 0:
        raise ValueError(f"rollouts are sampled, so temperature is above 0; got {temperature}")


def require_discounts(gamma: float, lam: float = 1.0) -> None:
    """Refuse discounts outside of [0, 1]."""
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise ValueError(f"gamma and lam lie in [0, 1]; got {gamma} and {lam}")
