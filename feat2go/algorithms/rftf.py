"""RFTF's way to learn from a dense reward and the outcome."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.algorithms.clipped import ClippedObjective, require_discounts
from feat2go.algorithms.rows import counted_actions, training_rows
from feat2go.core.protocols import Policy
from feat2go.core.returns import gae
from feat2go.core.types import PolicyBatch, Rollout


class RFTF:
    r"""Advantages from the outcome and the rewards ahead, balanced between successes and failures; no critic.

    .. math:: A_t = \eta \Big[ I + \sum_{n=t}^{T} (\gamma \lambda)^{n-t} R_n \Big]

    I is +1 for a successful episode and -1 for a failed one, at every step; :math:`\eta` is ``success_weight`` or
    ``failure_weight``: successes are many, so each weighs less (RFTF, arXiv 2505.19767). R is the rollout's reward, of
    the shaper ``rftf_dense`` in the paper. The loss is PPO's clipped surrogate and, where ``kl_coef`` is above 0, a KL
    to the start policy. Episodes that have not ended in the rollout have no outcome and are left out: whole episodes
    (``data.num_episodes``) waste nothing.

    The paper does not say :math:`\gamma`, :math:`\lambda`, the clip, the weight of the KL or how it adapts: these
    defaults are PPO's, and the weight is fixed. It trains the action head only, with a learning rate of 1e-7.

    Args:
        gamma: discount per decision.
        lam: trace decay.
        success_weight: :math:`\eta` of a successful episode.
        failure_weight: :math:`\eta` of a failed one.
        clip_low: lower clip of the importance ratio.
        clip_high: upper clip.
        logprob_level: ``token``, ``action`` or ``chunk``: what one importance ratio spans.
        kl_coef: weight of the KL to the policy that training started from; 0 keeps no copy of it.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
    """

    def __init__(
        self,
        gamma: float = 0.99,
        lam: float = 0.95,
        success_weight: float = 0.25,
        failure_weight: float = 1.0,
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        logprob_level: str = "token",
        kl_coef: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        require_discounts(gamma, lam)
        if success_weight < 0 or failure_weight < 0:
            raise ValueError(
                f"success_weight and failure_weight are at least 0; got {success_weight} and {failure_weight}"
            )
        self.gamma = gamma
        self.lam = lam
        self.success_weight = success_weight
        self.failure_weight = failure_weight
        self.temperature = temperature
        self._objective = ClippedObjective(clip_low, clip_high, None, logprob_level, 0.0, kl_coef, temperature)

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares with the policy that training started from."""
        return self._objective.kl_coef > 0

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages, one row per decision of an episode that ended."""
        nothing = torch.zeros_like(rollout.reward)
        # Without a critic and with every end final, GAE is the discounted sum of the rewards ahead.
        ended = rollout.terminated | rollout.truncated
        no_end = torch.zeros_like(ended)
        ahead = gae(rollout.reward, nothing, ended, no_end, nothing, nothing[0], self.gamma, self.lam)
        success = torch.cat([rollout.final_success, torch.zeros(1, dtype=torch.bool)])[rollout.episode]
        advantage = torch.where(success, self.success_weight * (1 + ahead), self.failure_weight * (ahead - 1))
        return training_rows(rollout, counted_actions(rollout), advantage, nothing)

    def loss(
        self, policy: Policy, batch: PolicyBatch, reference: Policy | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss above, and what to log of it.

        Args:
            policy: the one that learns.
            batch: B rows.
            reference: the policy that training started from; required if ``needs_reference``.
        """
        loss, metrics, _ = self._objective(policy, batch, reference)
        return loss, {name: metric.detach() for name, metric in metrics.items()}
