"""Drawing from categories."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_categories(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One category for each distribution, by inversion: the first whose cumulated probability reaches a uniform number.

    One random number for each, where ``torch.multinomial`` draws one for each category. Sums are in float64, so the
    frequencies are those of ``probs`` to a part in 10^15 whatever the number of categories, and what has a probability
    of zero is never drawn.

    Args:
        probs: float (..., V), not negative; need not sum to 1.
        generator: draws the numbers, on its device; the default one if None.

    Returns:
        int64 (...), on the device of ``probs``.

    Raises:
        ValueError: for NaN, infinity or a row of zeros.
    """
    device = probs.device if generator is None else generator.device
    cumulated = probs.to(device, torch.float64).cumsum(-1)
    total = cumulated[..., -1:]
    if not (total.isfinite() & (total > 0)).all():
        raise ValueError("can't draw from probabilities that hold NaN or infinity, or that are all zero")
    # In (0, 1]: a category of zero, which adds nothing to the sum, is then not the first to reach it.
    uniform = 1.0 - torch.rand(total.shape, dtype=torch.float64, device=device, generator=generator)
    return torch.searchsorted(cumulated, uniform * total)[..., 0].to(probs.device)
