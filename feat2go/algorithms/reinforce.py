"""REINFORCE with a leave-one-out baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.algorithms.clipped import require_level, require_temperature
from feat2go.algorithms.losses import aggregate, masked_mean
from feat2go.algorithms.rows import counted_actions, per_decision, require_groups, training_rows
from feat2go.core.protocols import Policy
from feat2go.core.returns import episode_returns, leave_one_out
from feat2go.core.types import PolicyBatch, Rollout


class Reinforce:
    r"""REINFORCE; an episode is compared with the others that began in the same state (RLOO).

    .. math:: L = -\operatorname{mean}\big( A_i \log \pi(a_t \mid s_t) \big), \qquad
        A_i = R_i - \frac{1}{G-1} \sum_{j \ne i} R_j

    Williams 1992; the baseline of Kool et al. 2019 and Ahmadian et al. (arXiv 2402.14740). The gradient is that of the
    policy that acted: with more than one pass over a rollout (``data.num_epochs``) or many minibatches it is not, and
    nothing clips it.

    Args:
        logprob_level: ``token``, ``action`` or ``chunk``: what one log-prob spans; the mean is over these.
        entropy_coef: weight of the entropy bonus.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
    """

    def __init__(self, logprob_level: str = "token", entropy_coef: float = 0.0, temperature: float = 1.0) -> None:
        require_level(logprob_level)
        require_temperature(temperature)
        self.logprob_level = logprob_level
        self.entropy_coef = entropy_coef
        self.temperature = temperature

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages, one row per decision that counts.

        Raises:
            ValueError: for a rollout without groups.
        """
        group = require_groups(rollout, "reinforce")
        returns = episode_returns(rollout.reward, rollout.episode, len(group))
        counted = counted_actions(rollout)
        advantage = per_decision(leave_one_out(returns, group), rollout, counted, gamma=1.0)
        return training_rows(rollout, counted, advantage, torch.zeros_like(advantage))

    def loss(self, policy: Policy, batch: PolicyBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss above, and what to log of it."""
        seen = batch.observation
        inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
        now = policy.evaluate(batch.tokens, temperature=self.temperature, **inputs)
        logprob, mask = aggregate(now.logprob, batch.mask, self.logprob_level, policy.action_dim)
        actor = -masked_mean(logprob * batch.advantage[:, None], mask)
        entropy = masked_mean(now.entropy, batch.mask)
        ratio_error = masked_mean(((now.logprob - batch.logprob).exp() - 1).abs(), batch.mask)
        loss = actor - self.entropy_coef * entropy
        return loss, {"actor_loss": actor.detach(), "entropy": entropy.detach(), "ratio_error": ratio_error.detach()}
