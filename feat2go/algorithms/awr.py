"""Advantage-weighted regression."""

from __future__ import annotations

from torch import Tensor

from feat2go.algorithms.clipped import require_discounts, require_temperature
from feat2go.algorithms.losses import acted_mask, at_level, explained_variance, masked_mean, value_loss
from feat2go.algorithms.rows import rollout_gae, training_rows
from feat2go.core.protocols import Policy
from feat2go.core.types import PolicyBatch, Rollout


class AWR:
    r"""Clone the policy's own actions, the better the more (Peng et al. 2019, arXiv 1910.00177, algorithm 1).

    .. math:: L = -\operatorname{mean}\big( \min(e^{A / \beta}, w_{max}) \log \pi(a \mid s) \big)
        + c \, \operatorname{mean}\big( \tfrac{1}{2} (V(s) - R)^2 \big)

    A = R - V(s), and R is the TD(:math:`\lambda`) return. The paper keeps a buffer of old rollouts; here an iteration
    learns from its own one only.

    Args:
        gamma: discount per decision; per action with a critic that judges actions.
        lam: of TD(:math:`\lambda`).
        beta: an advantage of this size weighs e times as much as none.
        max_weight: bound of the weights.
        value_coef: c.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
    """

    def __init__(
        self,
        gamma: float = 0.99,
        lam: float = 0.95,
        beta: float = 0.5,
        max_weight: float = 20.0,
        value_coef: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        require_discounts(gamma, lam)
        require_temperature(temperature)
        if beta <= 0 or max_weight <= 0:
            raise ValueError(f"beta and max_weight are above 0; got {beta} and {max_weight}")
        self.gamma = gamma
        self.lam = lam
        self.beta = beta
        self.max_weight = max_weight
        self.value_coef = value_coef
        self.temperature = temperature

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages and returns, one row per decision in which an action was carried out."""
        advantage = rollout_gae(rollout, self.gamma, self.lam)
        return training_rows(rollout, rollout.valid, advantage, advantage + rollout.value)

    def loss(self, policy: Policy, batch: PolicyBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss above, and what to log of it."""
        seen = batch.observation
        inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
        now = policy.evaluate(batch.tokens, temperature=self.temperature, **inputs)
        weight = (batch.advantage / self.beta).exp().clamp(max=self.max_weight)
        actor = -masked_mean(now.logprob * at_level(weight, "token", policy.action_dim), batch.mask)
        counts = acted_mask(batch.mask, now.value)
        critic = value_loss(now.value, batch.target_return, float("inf"), counts)
        metrics = {
            "actor_loss": actor,
            "value_loss": critic,
            "weight": masked_mean(weight, counts),
            "ratio_error": masked_mean(((now.logprob - batch.logprob).exp() - 1).abs(), batch.mask),
            "explained_variance": explained_variance(now.value[counts], batch.target_return[counts]),
        }
        return actor + self.value_coef * critic, {name: metric.detach() for name, metric in metrics.items()}
