"""REINFORCE with the policy's own critic as baseline."""

from __future__ import annotations

from torch import Tensor

from feat2go.algorithms.losses import masked_mean, value_loss
from feat2go.core import Policy, PolicyBatch, Rollout
from feat2go.core.returns import gae


class PlainGradient:
    """Policy gradient of whole returns (Williams 1992), one update per row.

    Args:
        gamma: discount per decision.
        temperature: of the sampled distribution, in rollouts and in the loss alike.
    """

    def __init__(self, gamma: float = 0.99, temperature: float = 1.0) -> None:
        self.gamma = gamma
        self.temperature = temperature

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Return minus critic value; one row per decision in which an action was carried out."""
        ends = (rollout.terminated, rollout.truncated, rollout.bootstrap, rollout.last_value)
        advantage = gae(rollout.reward, rollout.value, *ends, self.gamma, lam=1.0)
        action_dim = rollout.tokens.shape[2] // rollout.valid.shape[2]
        batch = PolicyBatch(
            observation=rollout.observation,
            tokens=rollout.tokens.flatten(0, 1),
            mask=rollout.valid.repeat_interleave(action_dim, dim=2).flatten(0, 1),
            logprob=rollout.logprob.flatten(0, 1),
            value=rollout.value.flatten(),
            advantage=advantage.flatten(),
            target_return=(advantage + rollout.value).flatten(),
        )
        return batch.select(rollout.valid.any(-1).flatten())

    def loss(self, policy: Policy, batch: PolicyBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus advantage times log-prob, plus the critic's squared error."""
        seen = batch.observation
        inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
        now = policy.evaluate(batch.tokens, temperature=self.temperature, **inputs)
        actor = -masked_mean(now.logprob * batch.advantage[:, None], batch.mask)
        critic = value_loss(now.value, batch.target_return, huber_delta=1.0)
        return actor + critic, {"actor_loss": actor.detach(), "value_loss": critic.detach()}
