"""Advantages over time-major rollouts."""

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


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
