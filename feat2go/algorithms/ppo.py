"""Proximal policy optimisation."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from feat2go.algorithms.clipped import ClippedObjective, require_discounts
from feat2go.algorithms.losses import acted_mask, explained_variance, value_loss
from feat2go.algorithms.rows import rollout_gae, training_rows
from feat2go.core.distributed import global_mean_std
from feat2go.core.protocols import Policy
from feat2go.core.types import PolicyBatch, Rollout


class PPO:
    """PPO with GAE over the policy's own critic, never the value model (method section 6).

    The loss is ``surrogate + value_coef * Huber(V, return) - entropy_coef * entropy + kl_coef * KL(pi, start)``.
    Whether the critic judges decisions or single actions is the policy's choice: with values (B, C), advantages are
    estimated over the actions one after the other.

    Args:
        gamma: discount per decision; per action with a critic that judges actions.
        lam: GAE's trace decay, likewise.
        clip_low: lower clip of the importance ratio.
        clip_high: upper clip; larger than the lower one to keep rare good actions alive.
        dual_clip: bound for negative advantages, or None.
        logprob_level: ``token``, ``action`` or ``chunk``: what one importance ratio spans. With a critic that judges
            actions: ``token`` or ``action``.
        value_coef: weight of the critic's loss.
        huber_delta: where the critic's loss turns linear.
        value_clip: how far the critic may move from its values in the rollout before its gradient ends, or None.
        entropy_coef: weight of the entropy bonus.
        kl_coef: weight of the KL to the policy that training started from; 0 keeps no copy of it.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
        normalise_advantage: to zero mean and unit deviation over the rollouts of all processes.
        critic_warmup: iterations in which nothing but the policy's critic learns.
        max_kl: once the KL between the policy that acted and the present one exceeds this, the rest of the rollout's
            minibatches is left out; None for never.
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
        value_clip: float | None = None,
        critic_warmup: int = 0,
        max_kl: float | None = None,
    ) -> None:
        require_discounts(gamma, lam)
        if value_clip is not None and value_clip <= 0:
            raise ValueError(f"value_clip is above 0, or null; got {value_clip}")
        if critic_warmup < 0:
            raise ValueError(f"critic_warmup is a number of iterations, at least 0; got {critic_warmup}")
        if max_kl is not None and max_kl <= 0:
            raise ValueError(f"max_kl is above 0, or null; got {max_kl}")
        self.gamma = gamma
        self.lam = lam
        self.value_coef = value_coef
        self.huber_delta = huber_delta
        self.value_clip = value_clip
        self.normalise_advantage = normalise_advantage
        self.critic_warmup = critic_warmup
        self.max_kl = max_kl
        self.temperature = temperature
        self._iteration = 0
        self._objective = ClippedObjective(
            clip_low, clip_high, dual_clip, logprob_level, entropy_coef, kl_coef, temperature
        )

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares with the policy that training started from."""
        return self._objective.kl_coef > 0

    @property
    def trains_critic_only(self) -> bool:
        """Whether the critic is still warming up."""
        return self._iteration < self.critic_warmup

    def begin_iteration(self, iteration: int) -> None:
        """The updates on rollout number ``iteration``, from 0, begin."""
        self._iteration = iteration

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages and returns, one row per decision in which an action was carried out.

        Every process must call it: the advantages are normalised over all of them.
        """
        advantage = rollout_gae(rollout, self.gamma, self.lam)
        target = advantage + rollout.value
        if self.normalise_advantage:
            counts = rollout.valid if advantage.ndim == 3 else rollout.valid.any(-1)
            mean, std = global_mean_std(advantage, counts)
            advantage = (advantage - mean) / (std + 1e-5)
        return training_rows(rollout, rollout.valid, advantage, target)

    def loss(
        self, policy: Policy, batch: PolicyBatch, reference: Policy | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss above, while the critic warms up only its part; and what to log.

        Args:
            policy: the one that learns.
            batch: B rows.
            reference: the policy that training started from; required if ``needs_reference``.
        """
        actor, metrics, now = self._objective(policy, batch, reference)
        counts = acted_mask(batch.mask, now.value)
        old_value: Any = batch.value if self.value_clip is not None else None
        critic = value_loss(now.value, batch.target_return, self.huber_delta, counts, old_value, self.value_clip)
        loss = self.value_coef * critic
        if not self.trains_critic_only:
            loss = actor + loss
        metrics |= {
            "value_loss": critic,
            "explained_variance": explained_variance(now.value[counts], batch.target_return[counts]),
        }
        return loss, {name: metric.detach() for name, metric in metrics.items()}
