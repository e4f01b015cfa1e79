"""A scalar in [0, 1] as a distribution over bins: target codings, losses and the read-out.

The ``num_bins`` bins are centred on ``i / (num_bins - 1)``, so that 0 and 1 are centres and every value in between is a
mixture of two neighbours. With the paper's 201 bins the spacing is 0.005.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LossName = Literal["hl_gauss", "two_hot", "mse"]


def bin_centers(num_bins: int, device: torch.device | str | None = None) -> Tensor:
    """float32 (num_bins,), from 0 to 1.

    Raises:
        ValueError: for fewer than two bins.
    """
    if num_bins < 2:
        raise ValueError(f"num_bins must be at least 2, got {num_bins}")
    return torch.linspace(0, 1, num_bins, device=device)


def two_hot(target: Tensor, num_bins: int) -> Tensor:
    """Spread each target over its two neighbouring bins so that the expectation is the target.

    Args:
        target: (B,) in [0, 1]; clamped to it.
        num_bins: at least 2.

    Returns:
        float32 (B, num_bins), rows sum to 1.
    """
    position = _clamped(target) * (num_bins - 1)
    distance = (position[:, None] - torch.arange(num_bins, device=target.device)).abs()
    return (1 - distance).clamp(min=0)


def hl_gauss(target: Tensor, num_bins: int, sigma_ratio: float = 0.75) -> Tensor:
    """The mass that a Gaussian around each target puts into each bin, normalised over the bins.

    HL-Gauss of "Stop Regressing" (arXiv:2403.03950). The outermost bins reach half a spacing beyond 0 and 1.

    Args:
        target: (B,) in [0, 1]; clamped to it.
        num_bins: at least 2.
        sigma_ratio: standard deviation in units of the bin spacing.

    Returns:
        float32 (B, num_bins), rows sum to 1.

    Raises:
        ValueError: unless ``sigma_ratio`` is positive.
    """
    if sigma_ratio <= 0:
        raise ValueError(f"sigma_ratio must be positive, got {sigma_ratio}")
    edges = torch.arange(num_bins + 1, device=target.device) - 0.5
    position = _clamped(target) * (num_bins - 1)
    cumulative = torch.erf((edges - position[:, None]) / (sigma_ratio * math.sqrt(2)))
    mass = cumulative.diff(dim=1)
    return mass / (cumulative[:, -1:] - cumulative[:, :1])


def expectation(logits: Tensor) -> Tensor:
    """The read-out: logits (..., num_bins) of any dtype -> float32 (...) in [0, 1]."""
    return functional.softmax(logits.float(), dim=-1) @ bin_centers(logits.shape[-1], logits.device)


def value_loss(logits: Tensor, target: Tensor, loss: LossName = "hl_gauss", sigma_ratio: float = 0.75) -> Tensor:
    """Mean loss of predicted distributions.

    Args:
        logits: (B, num_bins).
        target: (B,) in [0, 1].
        loss: cross-entropy against the ``"hl_gauss"`` or ``"two_hot"`` coding of the target, or ``"mse"`` of the
            read-out.
        sigma_ratio: of ``hl_gauss``.

    Returns:
        float32 scalar.

    Raises:
        ValueError: for an unknown loss, or shapes that don't agree.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(f"expected logits (B, num_bins) and target (B,); got {logits.shape} and {target.shape}")
    num_bins = logits.shape[1]
    if loss == "mse":
        return functional.mse_loss(expectation(logits), target.float())
    if loss == "two_hot":
        return functional.cross_entropy(logits.float(), two_hot(target, num_bins))
    if loss == "hl_gauss":
        return functional.cross_entropy(logits.float(), hl_gauss(target, num_bins, sigma_ratio))
    raise ValueError(f"unknown value loss '{loss}'; known: hl_gauss, two_hot, mse")


def contrastive_loss(logits: Tensor, place: Tensor) -> Tensor:
    r"""Of two frames of one episode, the later one is to have the higher value; no target is needed.

    .. math:: -\operatorname{mean} \log \sigma(u(s_{t + \Delta t}) - u(s_t)), \qquad \Delta t \ge 1

    over all pairs in the batch that stem from one episode: RFTF's loss (arXiv 2505.19767), estimated from random
    frames. The score u is the log-odds of the read-out, so that it knows no bounds, as the paper's does not.

    Args:
        logits: (B, num_bins).
        place: int64 (B, 2), the episode and the time of each frame.

    Returns:
        float32 scalar; 0 for a batch without a pair.
    """
    score = torch.logit(expectation(logits), eps=1e-6)
    episode, time = place.T
    is_later = (episode[:, None] == episode) & (time[:, None] > time)
    gain = (score[:, None] - score)[is_later]
    return functional.softplus(-gain).sum() / max(len(gain), 1)


def _clamped(target: Tensor) -> Tensor:
    return target.float().clamp(0, 1)
