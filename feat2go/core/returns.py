"""Advantages: over time-major rollouts, and among the episodes of a group."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(
    reward: Tensor,
    value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    bootstrap: Tensor,
    last_value: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    r"""Generalised advantage estimation (Schulman et al. 2016, eq. 16) with exact episode ends.

    .. math::
        \delta_t = r_t + \gamma v_{t+1} - V(s_t), \qquad
        \hat A_t = \delta_t + \gamma \lambda \hat A_{t+1}

    where :math:`v_{t+1}` is 0 after termination, ``bootstrap`` at truncation, else the critic's value of the next step.
    Nothing flows across an episode's end.

    Args:
        reward: (T, N).
        value: (T, N), the critic's.
        terminated: bool (T, N).
        truncated: bool (T, N), never where ``terminated``.
        bootstrap: (T, N), the critic's value of the true final observation; read only where ``truncated``.
        last_value: (N,), the critic's value of what follows the last step; read only where that step ended nothing.
        gamma: discount in [0, 1].
        lam: trace decay in [0, 1].

    Returns:
        Advantages (T, N), in the dtype of ``reward``.

    Raises:
        ValueError: for shapes that don't match, or an end that is both kinds at once.
    """
    if reward.ndim != 2 or last_value.shape != reward.shape[1:]:
        raise ValueError(f"gae: reward is (T, N), last_value (N,); got {_shape(reward)} and {_shape(last_value)}")
    for name, tensor in (
        ("value", value),
        ("terminated", terminated),
        ("truncated", truncated),
        ("bootstrap", bootstrap),
    ):
        if tensor.shape != reward.shape:
            raise ValueError(f"gae: {name} has shape {_shape(tensor)}, reward {_shape(reward)}")
    if bool((terminated & truncated).any()):
        raise ValueError("gae: a step is both terminated and truncated")

    next_value = torch.cat([value[1:], last_value[None].to(value.dtype)])
    next_value = torch.where(truncated, bootstrap, next_value).masked_fill(terminated, 0.0)
    delta = reward + gamma * next_value - value
    carry = gamma * lam * (~(terminated | truncated)).to(reward.dtype)
    advantage = torch.zeros_like(reward)
    running = torch.zeros_like(last_value, dtype=reward.dtype)
    for t in range(len(reward) - 1, -1, -1):
        running = delta[t] + carry[t] * running
        advantage[t] = running
    return advantage


def episode_returns(reward: Tensor, episode: Tensor, num_episodes: int) -> Tensor:
    """Sum of rewards (T, N) over each episode, as far as it lies in the rollout.

    Args:
        reward: (T, N).
        episode: int64 (T, N), the episode of each reward, -1 for none; see ``Rollout.episode``.
        num_episodes: E.

    Returns:
        (E,), in the dtype of ``reward``.
    """
    belongs = episode >= 0
    return reward.new_zeros(num_episodes).index_add_(0, episode[belongs], reward[belongs])


def group_advantage(returns: Tensor, group: Tensor, eps: float = 1e-6) -> Tensor:
    r"""Returns compared with those of the same group (GRPO; Shao et al. 2024, arXiv 2402.03300, section 4.1).

    .. math:: \tilde A_i = \frac{R_i - \operatorname{mean}(R)}{\operatorname{std}(R) + \epsilon}

    with the unbiased standard deviation. In a group of equal returns, or of one, nobody was better: 0, exactly.

    Args:
        returns: (E,), of episodes.
        group: int64 (E,), any numbers.
        eps: added to the standard deviation.

    Returns:
        (E,), in the dtype of ``returns``.

    Raises:
        ValueError: for shapes that don't match.
    """
    mean, size, index = _group_means(returns, group)
    exact = returns.double()
    deviation = exact - mean[index]
    squares = torch.zeros_like(mean).index_add_(0, index, deviation.square())
    std = (squares / (size - 1).clamp(min=1)).sqrt()
    first = torch.empty_like(mean).index_copy_(0, index, exact)
    differs = torch.zeros_like(mean).index_add_(0, index, (exact != first[index]).double()) > 0
    # Rounding of the mean alone would give equal returns a small advantage.
    advantage = torch.where(differs[index], deviation / (std[index] + eps), 0.0)
    return advantage.to(returns.dtype)


def leave_one_out(returns: Tensor, group: Tensor) -> Tensor:
    r"""Each return minus the mean of the others of its group (RLOO; Kool et al. 2019, eq. 8; arXiv 2402.14740).

    .. math:: A_i = R_i - \frac{1}{G - 1} \sum_{j \ne i} R_j = \frac{G}{G - 1} (R_i - \operatorname{mean}(R))

    Args:
        returns: (E,), of episodes.
        group: int64 (E,), any numbers.

    Returns:
        (E,), in the dtype of ``returns``; 0 in a group of one, which has nothing to compare with.

    Raises:
        ValueError: for shapes that don't match.
    """
    mean, size, index = _group_means(returns, group)
    scale = size / (size - 1).clamp(min=1)
    return (scale[index] * (returns.double() - mean[index])).to(returns.dtype)


def _group_means(returns: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and size of each of M groups, float64 (M,), and the group of each return, int64 (E,)."""
    if returns.ndim != 1 or group.shape != returns.shape:
        raise ValueError(f"returns and group are both (E,); got {_shape(returns)} and {_shape(group)}")
    _, index, size = group.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    total = torch.zeros(len(size), dtype=torch.float64, device=returns.device).index_add_(0, index, returns.double())
    return total / size, size.double(), index


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
