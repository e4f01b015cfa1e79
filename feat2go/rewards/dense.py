"""Rewards that are paid on the way, too. Legend: T decisions, N environments, E episodes that ended."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.core.types import Rollout


class Potential:
    r"""Success, and the gain in predicted progress with every decision.

    .. math:: r_t = 1[\text{success at } t] + c \, (\gamma \Phi(s_{t+1}) - \Phi(s_t)), \qquad \Phi = V_\theta

    Potential-based shaping (Ng, Harada and Russell 1999, theorem 1), so the best policy stays the same: the potential
    of a terminated episode's last state is 0. At a time limit it is not, and the critic bootstraps there. The value
    model sees every decision, not the terminal frames only.

    Args:
        gamma: the algorithm's discount per decision; another one changes what is best.
        scale: c.
    """

    needs_value = True
    replaces_bootstrap = False

    def __init__(self, gamma: float = 0.99, scale: float = 1.0) -> None:
        _require_discount(gamma)
        self.gamma = gamma
        self.scale = scale

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """1 for success, else 0."""
        return success.float()

    def dense(self, rollout: Rollout, value: Tensor, next_value: Tensor) -> Tensor:
        """The gains in potential, (T, N)."""
        following = next_value.masked_fill(rollout.terminated, 0.0)
        return self.scale * (self.gamma * following - value)


class RFTFDense:
    r"""The gain in predicted progress, with the values of each episode stretched to [0, 1]; nothing for success.

    .. math:: R_t = \gamma \bar V(s_{t+1}) - \bar V(s_t)

    RFTF (arXiv 2505.19767); :math:`\bar V` is normalised within the episode, which the paper does, without saying how:
    here (V - min) / (max - min), 0 where all are equal. The last decision's gain is that to the episode's true last
    frame. Of an episode that goes on behind the rollout, the part in the rollout counts. What an outcome is worth is
    the algorithm's business: ``rftf``. The value model sees every decision.

    Args:
        gamma: the algorithm's discount per decision.
    """

    needs_value = True
    replaces_bootstrap = False

    def __init__(self, gamma: float = 0.99) -> None:
        _require_discount(gamma)
        self.gamma = gamma

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros(success.shape)

    def dense(self, rollout: Rollout, value: Tensor, next_value: Tensor) -> Tensor:
        """The gains, (T, N)."""
        piece = _pieces(rollout).flatten()
        num_pieces = int(piece.max()) + 1
        ends = torch.stack([value, next_value]).flatten(1)
        low = torch.full((num_pieces,), torch.inf).scatter_reduce(0, piece, ends.amin(0), "amin")[piece]
        high = torch.full((num_pieces,), -torch.inf).scatter_reduce(0, piece, ends.amax(0), "amax")[piece]
        span = high - low
        normalised = torch.where(span > 0, (ends - low) / span, 0.0).reshape(2, *value.shape)
        return self.gamma * normalised[1] - normalised[0]


class StepsToGo:
    r"""How many steps to go a decision saved, as a share of an episode.

    .. math:: r_t = d(s_t) - d(s_{t+1}), \qquad d = 1 - V_\theta, \qquad d(s_T) = 0 \text{ after success}

    Self-improving embodied foundation models (arXiv 2509.15155): the reward is the drop of the expected steps to go. It
    is meant for a value model that was trained on elapsed time, V = t / (T - 1), rather than on structural progress;
    nothing here can tell the two apart. The paper takes few predicted steps for success, here the environment says
    what success is. The value model sees every decision.
    """

    needs_value = True
    replaces_bootstrap = False

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """Zeros: success counts as no steps to go."""
        return torch.zeros(success.shape)

    def dense(self, rollout: Rollout, value: Tensor, next_value: Tensor) -> Tensor:
        """The steps saved, (T, N)."""
        return next_value.masked_fill(rollout.success, 1.0) - value


class ManiSkillDense:
    """The simulator's own dense reward, summed over each decision's actions: an upper reference, nothing else.

    It is written by hand for each task and knows the state of the simulation, which no camera shows. ManiSkill gives it
    with ``dense_reward: true``, normalised to about 1 for the best action. An episode that ends at success stops
    earning; set ``terminate_on_success: false`` where that should not be feared.
    """

    needs_value = False
    replaces_bootstrap = False

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """Zeros: the simulator's reward says it all."""
        return torch.zeros(success.shape)

    def dense(self, rollout: Rollout, value: Tensor, next_value: Tensor) -> Tensor:
        """The simulator's reward, (T, N).

        Raises:
            ValueError: if the environment gave none.
        """
        if rollout.env_reward is None:
            raise ValueError(
                "the reward maniskill_dense is the simulator's own, and the environment gives none: "
                "use the maniskill environment and set env.init_args.dense_reward to true"
            )
        return rollout.env_reward


def _pieces(rollout: Rollout) -> Tensor:
    """int64 (T, N): numbers the episodes and parts of episodes of the rollout."""
    ended = (rollout.terminated | rollout.truncated).long()
    earlier = ended.cumsum(0) - ended
    return earlier * ended.shape[1] + torch.arange(ended.shape[1])


def _require_discount(gamma: float) -> None:
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma lies in [0, 1]; got {gamma}")
