"""Patch features to the width of the language model."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class Projector(nn.Module):
    """Three linear layers behind the fused backbone, two behind a single tower, with exact GELU in between.

    Args:
        vision_width: of the patch features.
        text_width: of the language model.
        is_fused: whether the features are those of two towers.
    """

    def __init__(self, vision_width: int, text_width: int, is_fused: bool) -> None:
        super().__init__()
        first_width = 4 * vision_width if is_fused else text_width
        self.fc1 = nn.Linear(vision_width, first_width)
        self.fc2 = nn.Linear(first_width, text_width)
        self.fc3 = nn.Linear(text_width, text_width) if is_fused else None

    def forward(self, features: Tensor) -> Tensor:
        """(B, P, vision_width) -> (B, P, text_width)."""
        projected = self.fc2(functional.gelu(self.fc1(features)))
        if self.fc3 is not None:
            projected = self.fc3(functional.gelu(projected))
        return cast(Tensor, projected)
