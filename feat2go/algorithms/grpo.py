"""Group-relative policy optimisation."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.algorithms.clipped import ClippedObjective, require_discounts
from feat2go.algorithms.rows import counted_actions, per_decision, require_groups, training_rows
from feat2go.core.protocols import Policy
from feat2go.core.returns import episode_returns, group_advantage
from feat2go.core.types import PolicyBatch, Rollout


class GRPO:
    r"""GRPO: episodes that began in the same state are compared with each other, and there is no critic.

    .. math:: A_t = \gamma^{T-t} \tilde A_i, \qquad
        \tilde A_i = \frac{R_i - \operatorname{mean}(R)}{\operatorname{std}(R) + 10^{-6}}

    R is the shaped return of an episode, T its last decision that counts (Feat2Go, arXiv 2605.30795, method section 7;
    with :math:`\gamma = 1`, DeepSeekMath, arXiv 2402.03300, eq. 3, and what RLinf and SimpleVLA-RL do). The loss is
    ``surrogate - entropy_coef * entropy + kl_coef * KL(pi, start)``, with the k3 estimate of the KL. Actions after an
    episode's end, and after its success where the environment goes on, are left out.

    Dynamic sampling (DAPO, arXiv 2503.14476, section 3.2) leaves out groups in which nearly all or nearly no episode
    succeeds. It looks at the rate of success, not at the shaped return: a group of failures that got equally far is as
    empty as one of equal successes, but one of failures that got differently far has something to teach, and
    ``keep_failed_groups`` keeps it.

    Args:
        gamma: discount per decision.
        clip_low: lower clip of the importance ratio.
        clip_high: upper clip.
        dual_clip: bound for negative advantages, or None.
        logprob_level: ``token``, ``action`` or ``chunk``: what one importance ratio spans.
        entropy_coef: weight of the entropy bonus.
        kl_coef: weight of the KL to the policy that training started from; 0 keeps no copy of it.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
        min_success: groups with a lower success rate are left out.
        max_success: groups with a higher one, too.
        keep_failed_groups: whether groups without any success are kept whatever ``min_success`` says.
    """

    def __init__(
        self,
        gamma: float = 1.0,
        clip_low: float = 0.2,
        clip_high: float = 0.28,
        dual_clip: float | None = 3.0,
        logprob_level: str = "token",
        entropy_coef: float = 0.0,
        kl_coef: float = 0.0,
        temperature: float = 1.0,
        min_success: float = 0.1,
        max_success: float = 0.9,
        keep_failed_groups: bool = True,
    ) -> None:
        require_discounts(gamma)
        if not 0 <= min_success <= max_success <= 1:
            raise ValueError(f"0 <= min_success <= max_success <= 1; got {min_success} and {max_success}")
        self.gamma = gamma
        self.min_success = min_success
        self.max_success = max_success
        self.keep_failed_groups = keep_failed_groups
        self.temperature = temperature
        self._objective = ClippedObjective(
            clip_low, clip_high, dual_clip, logprob_level, entropy_coef, kl_coef, temperature
        )

    @property
    def needs_reference(self) -> bool:
        """Whether the loss compares with the policy that training started from."""
        return self._objective.kl_coef > 0

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages, one row per decision that counts, of the groups that are kept.

        If no group is kept, all rows are there but nothing in them counts: their loss is 0.

        Raises:
            ValueError: for a rollout without groups.
        """
        group = require_groups(rollout, "grpo")
        returns = episode_returns(rollout.reward, rollout.episode, len(group))
        is_kept = self._is_kept(rollout.final_success, group)
        counted = counted_actions(rollout)
        counted &= torch.cat([is_kept, torch.zeros(1, dtype=torch.bool)])[rollout.episode][..., None]
        advantage = per_decision(group_advantage(returns, group), rollout, counted, self.gamma)
        return training_rows(rollout, counted, advantage, torch.zeros_like(advantage))

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

    def _is_kept(self, success: Tensor, group: Tensor) -> Tensor:
        """Bool (E,): the episode's group takes part."""
        index = torch.unique(group, return_inverse=True)[1]
        size = torch.bincount(index)
        rate = torch.bincount(index, weights=success.double()) / size
        is_kept = (rate >= self.min_success) & (rate <= self.max_success)
        if self.keep_failed_groups:
            is_kept |= rate == 0
        return is_kept[index]
