"""Proximal policy optimisation."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.algorithms.losses import (
    LEVELS,
    aggregate,
    clipped_surrogate,
    explained_variance,
    kl_to_reference,
    masked_mean,
    value_loss,
)
from feat2go.core.protocols import Policy
from feat2go.core.returns import gae
from feat2go.core.types import PolicyBatch, Rollout


class PPO:
    """PPO with GAE over the policy's own critic, never the value model (method section 6).

    The loss is ``surrogate + value_coef * Huber(V, return) - entropy_coef * entropy + kl_coef * KL(pi, start)``.

    Args:
        gamma: discount per decision.
        lam: GAE's trace decay.
        clip_low: lower clip of the importance ratio.
        clip_high: upper clip; larger than the lower one to keep rare good actions alive.
        dual_clip: bound for negative advantages, or None.
        logprob_level: ``token``, ``action`` or ``chunk``: what one importance ratio spans.
        value_coef: weight of the critic's loss.
        huber_delta: where the critic's loss turns linear.
        entropy_coef: weight of the entropy bonus.
        kl_coef: weight of the KL to the policy that training started from; 0 keeps no copy of it.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
        normalise_advantage: to zero mean and unit deviation over the rollout.
    """

    def __init__(
        self,
        gamma: float = 0.99,
        lam: float = 0.95,
        clip_low: float = 0.2,
        clip_high: float = 0.28,
        dual_clip: float | None = 3.0,
        logprob_level: str = "action",
        value_coef: float = 1.0,
        huber_delta: float = 10.0,
        entropy_coef: float = 0.0,
        kl_coef: float = 0.0,
        temperature: float = 1.0,
        normalise_advantage: bool = True,
    ) -> None:
        if logprob_level not in LEVELS:
            raise ValueError(f"unknown logprob_level '{logprob_level}'; known: {', '.join(LEVELS)}")
        if not (0 <= gamma <= 1 and 0 <= lam <= 1):
            raise ValueError(f"gamma and lam lie in [0, 1]; got {gamma} and {lam}")
        if clip_low <= 0 or clip_high <= 0:
            raise ValueError(f"clip_low and clip_high are above 0; got {clip_low} and {clip_high}")
        if dual_clip is not None and dual_clip <= 1:
            raise ValueError(f"dual_clip is above 1, or null; got {dual_clip}")
        if temperature <= 0:
            raise ValueError(f"PPO samples, so temperature is above 0; got {temperature}")
        self.gamma = gamma
        self.lam = lam
        self.clip_low = clip_low
        self.clip_high = clip_high
        self.dual_clip = dual_clip
        self.logprob_level = logprob_level
        self.value_coef = value_coef
        self.huber_delta = huber_delta
        self.entropy_coef = entropy_coef
        self.kl_coef = kl_coef
        self.temperature = temperature
        self.normalise_advantage = normalise_advantage

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares with the policy that training started from."""
        return self.kl_coef > 0

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages and returns, one row per decision in which an action was carried out."""
        advantage = gae(
            rollout.reward,
            rollout.value,
            rollout.terminated,
            rollout.truncated,
            rollout.bootstrap,
            rollout.last_value,
            self.gamma,
            self.lam,
        )
        target = advantage + rollout.value
        acted = rollout.valid.any(-1)
        if self.normalise_advantage:
            chosen = advantage[acted]
            advantage = (advantage - chosen.mean()) / (chosen.std(correction=0) + 1e-5)
        action_dim = rollout.tokens.shape[2] // rollout.valid.shape[2]
        batch = PolicyBatch(
            observation=rollout.observation,
            tokens=rollout.tokens.flatten(0, 1),
            mask=rollout.valid.repeat_interleave(action_dim, dim=2).flatten(0, 1),
            logprob=rollout.logprob.flatten(0, 1),
            value=rollout.value.flatten(),
            advantage=advantage.flatten(),
            target_return=target.flatten(),
        )
        return batch if bool(acted.all()) else batch.select(acted.flatten())

    def loss(
        self, policy: Policy, batch: PolicyBatch, reference: Policy | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss above, and what to log of it.

        Args:
            policy: the one that learns.
            batch: B rows.
            reference: the policy that training started from; required if ``needs_reference``.
        """
        seen = batch.observation
        inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
        now = policy.evaluate(batch.tokens, temperature=self.temperature, **inputs)
        logprob, mask = aggregate(now.logprob, batch.mask, self.logprob_level, policy.action_dim)
        old_logprob, _ = aggregate(batch.logprob, batch.mask, self.logprob_level, policy.action_dim)

        surrogate = clipped_surrogate(
            logprob, old_logprob, batch.advantage[:, None], mask, self.clip_low, self.clip_high, self.dual_clip
        )
        critic = value_loss(now.value, batch.target_return, self.huber_delta)
        entropy = masked_mean(now.entropy, batch.mask)
        loss = surrogate + self.value_coef * critic - self.entropy_coef * entropy
        metrics = {"surrogate": surrogate, "value_loss": critic, "entropy": entropy}
        if self.needs_reference:
            if reference is None:
                raise ValueError("kl_coef > 0 needs the reference policy")
            with torch.no_grad():
                start = reference.evaluate(batch.tokens, temperature=self.temperature, **inputs)
            kl = kl_to_reference(now.logprob, start.logprob, batch.mask)
            loss = loss + self.kl_coef * kl
            metrics["kl_to_start"] = kl
        with torch.no_grad():
            log_ratio = (logprob - old_logprob).masked_fill(~mask, 0.0)
            ratio = log_ratio.exp()
            is_clipped = (ratio < 1 - self.clip_low) | (ratio > 1 + self.clip_high)
            metrics |= {
                "ratio": masked_mean(ratio, mask),
                # The mean of the ratio is 1 in expectation whatever the two distributions are; this is not.
                "ratio_error": masked_mean((ratio - 1).abs(), mask),
                "kl": masked_mean(ratio - 1 - log_ratio, mask),
                "clip_fraction": masked_mean(is_clipped.float(), mask),
                "explained_variance": explained_variance(now.value, batch.target_return),
            }
        return loss, {name: metric.detach() for name, metric in metrics.items()}
