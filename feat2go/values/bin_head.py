"""From a hidden state to bins over progress."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BinHead(nn.Sequential):
    """LayerNorm, GELU and an MLP of one hidden layer, in float32 whatever its input is.

    Args:
        hidden_dim: D.
        width: of the MLP.
        num_bins: of the distribution.
    """

    def __init__(self, hidden_dim: int, width: int, num_bins: int) -> None:
        super().__init__(
            nn.LayerNorm(hidden_dim), nn.GELU(), nn.Linear(hidden_dim, width), nn.GELU(), nn.Linear(width, num_bins)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, D) of any float dtype -> logits float32 (B, num_bins)."""
        with torch.autocast(hidden.device.type, enabled=False):
            logits: Tensor = super().forward(hidden.float())  # type: ignore[no-untyped-call]
        return logits
