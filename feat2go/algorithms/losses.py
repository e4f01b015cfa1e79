"""The terms that policy-gradient losses are made of. Legend: B rows, L log-prob entries per row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = ("token", "action", "chunk")


def aggregate(per_token: Tensor, mask: Tensor, level: str, action_dim: int) -> tuple[Tensor, Tensor]:
    """Sum masked log-probs to a level, as the published recipes do.

    Args:
        per_token: (B, C*A).
        mask: bool (B, C*A): tokens that count.
        level: ``token`` keeps every token, ``action`` sums over the A tokens of an action, ``chunk`` over all.
        action_dim: A.

    Returns:
        Values and mask, both (B, C*A), (B, C) or (B, 1).

    Raises:
        ValueError: for an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown log-prob level '{level}'; known: {', '.join(LEVELS)}")
    if level == "token":
        return per_token, mask
    size = action_dim if level == "action" else per_token.shape[1]
    parts = (len(per_token), -1, size)
    return per_token.masked_fill(~mask, 0.0).reshape(parts).sum(-1), mask.reshape(parts).any(-1)


def clipped_surrogate(
    logprob: Tensor,
    old_logprob: Tensor,
    advantage: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> Tensor:
    r"""PPO's clipped surrogate with asymmetric bounds, as a loss.

    .. math:: -\min(\rho A, \operatorname{clip}(\rho, 1-\epsilon_l, 1+\epsilon_h) A), \quad \rho = \pi / \pi_{old}

    Schulman et al. 2017, eq. 7; asymmetric bounds: DAPO (arXiv 2503.14476). With ``dual_clip`` c > 1 the objective of a
    negative advantage is bounded below by cA (Ye et al. 2020, eq. 5).

    Args:
        logprob: (B, L), with gradients.
        old_logprob: (B, L), of the policy that acted.
        advantage: broadcastable to (B, L).
        mask: bool (B, L).
        clip_low: :math:`\epsilon_l`.
        clip_high: :math:`\epsilon_h`.
        dual_clip: c, or None for none.

    Returns:
        Scalar, the mean over the mask.
    """
    ratio = (logprob - old_logprob).masked_fill(~mask, 0.0).exp()
    objective = torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)
    if dual_clip is not None:
        objective = torch.where(advantage < 0, torch.maximum(objective, dual_clip * advantage), objective)
    return -masked_mean(objective, mask)


def at_level(advantage: Tensor, level: str, action_dim: int) -> Tensor:
    """An advantage for each log-prob of :func:`aggregate`.

    Args:
        advantage: (B,) of decisions, or (B, C) of single actions.
        level: of the log-probs.
        action_dim: A.

    Returns:
        Broadcastable to (B, C*A), (B, C) or (B, 1).

    Raises:
        ValueError: for advantages of single actions with one log-prob for the whole chunk.
    """
    if advantage.ndim == 1:
        return advantage[:, None]
    if level == "chunk":
        raise ValueError(
            "logprob_level 'chunk' needs one advantage per decision, but this policy's critic judges each action: "
            "use 'token' or 'action', or a critic of whole decisions"
        )
    return advantage.repeat_interleave(action_dim, dim=1) if level == "token" else advantage


def value_loss(
    value: Tensor,
    target: Tensor,
    huber_delta: float,
    mask: Tensor | None = None,
    old_value: Tensor | None = None,
    clip: float | None = None,
) -> Tensor:
    r"""Mean Huber loss of critic values to returns; half the squared error below ``huber_delta``.

    With ``clip`` the larger of the loss of V and of that of :math:`V_{old} + \operatorname{clip}(V - V_{old},
    -\epsilon, \epsilon)`, as in OpenAI's PPO2.

    Args:
        value: (B,) or (B, C), with gradients.
        target: likewise.
        huber_delta: where the loss turns linear.
        mask: bool, likewise: values that count; None for all.
        old_value: likewise, at the time of the rollout; required with ``clip``.
        clip: :math:`\epsilon`, or None.

    Returns:
        Scalar, the mean over the mask.
    """
    loss = functional.huber_loss(value, target, delta=huber_delta, reduction="none")
    if clip is not None and old_value is not None:
        clipped = old_value + (value - old_value).clamp(-clip, clip)
        loss = torch.maximum(loss, functional.huber_loss(clipped, target, delta=huber_delta, reduction="none"))
    return loss.mean() if mask is None else masked_mean(loss, mask)


def acted_mask(mask: Tensor, value: Tensor) -> Tensor:
    """Which critic values count, in the shape of ``value``: those of decisions (B,), or actions (B, C), with any token.

    Args:
        mask: bool (B, C*A).
        value: (B,) or (B, C).
    """
    return mask.reshape(*value.shape, -1).any(-1)


def kl_to_reference(logprob: Tensor, reference_logprob: Tensor, mask: Tensor) -> Tensor:
    r"""Mean of the k3 estimate of KL(pi, reference): :math:`r - 1 - \log r`, r = reference / pi.

    Schulman, "Approximating KL divergence" (2020). Unbiased and never negative for tokens sampled from pi.
    """
    log_ratio = (reference_logprob - logprob).masked_fill(~mask, 0.0)
    return masked_mean(log_ratio.exp() - 1 - log_ratio, mask)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the entries that count; 0 where none does."""
    weight = mask.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1)


def explained_variance(value: Tensor, target: Tensor) -> Tensor:
    """1 - Var(target - value) / Var(target): 1 for a perfect critic, 0 for a constant one. NaN of nothing."""
    variance = target.var(correction=0)
    return 1 - (target - value).var(correction=0) / variance.clamp(min=1e-12)
