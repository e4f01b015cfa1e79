"""The local trend of a curve."""

from __future__ import annotations

import torch
from torch import Tensor


def local_slope(curve: Tensor, window: int) -> Tensor:
    """Slope of the ordinary-least-squares line over ``curve[t : t + window]``, for every t.

        w_t = sum_tau (tau - mean tau)(y_{t+tau} - mean y) / sum_tau (tau - mean tau)^2,  tau = 0..window-1

    The tail, where fewer than ``window`` frames are left, is fitted over the frames that are left; the last frame has
    none to compare with, its slope is 0. Source: Feat2Go (arXiv 2605.30795), trend-based clustering.

    Args:
        curve: (T,).
        window: frames per fit, at least 2.

    Returns:
        (T,), change of the curve per frame; float64 for a float64 curve, else float32.

    Raises:
        ValueError: for an empty, non-finite or not one-dimensional curve, or a window below 2.
    """
    if curve.ndim != 1 or len(curve) == 0:
        raise ValueError(f"the curve must have the shape (T,) with T >= 1; got {tuple(curve.shape)}")
    if not torch.isfinite(curve).all():
        raise ValueError("the curve must be finite; found NaN or infinity")
    if window < 2:
        raise ValueError(f"a slope needs a window of at least 2 frames; got {window}")
    num_frames = len(curve)
    num_full = max(0, num_frames - window + 1)
    slope = torch.zeros(num_frames, dtype=torch.float64, device=curve.device)
    values = curve.double()
    if num_full:
        slope[:num_full] = _slope(values.unfold(0, window, 1))
    for t in range(num_full, num_frames - 1):
        slope[t] = _slope(values[t:])
    return slope.to(torch.promote_types(curve.dtype, torch.float32))


def _slope(values: Tensor) -> Tensor:
    """(…, W) with W >= 2 -> (…)."""
    tau = torch.arange(values.shape[-1], dtype=values.dtype, device=values.device)
    tau = tau - tau.mean()
    # The first value stands for the mean, as tau is centred; the slope of a constant is then exactly 0.
    return ((values - values[..., :1]) * tau).sum(-1) / tau.square().sum()
