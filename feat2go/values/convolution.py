"""A trunk that looks at neighbouring patches, for a grid of them."""

from __future__ import annotations

import math

from torch import Tensor, nn


class ConvolutionTrunk(nn.Module):
    """A 3x3 convolution over the grid of patches, and others of stride 2 until 2x2 are left; then a linear layer.

    Which patch is where stays known to the end, and it is much less work than attention.

    Args:
        num_patches: of the encoder, in a square grid.
        width: channels, and of the output.
        dropout: before the linear layer and after it.

    Raises:
        ValueError: if the patches are no square grid.
    """

    def __init__(self, num_patches: int, width: int, dropout: float) -> None:
        super().__init__()
        side = math.isqrt(num_patches)
        if side * side != num_patches:
            raise ValueError(
                f"trunk=convolution needs a square grid of patches, and the encoder has {num_patches}; "
                "use trunk=transformer"
            )
        self.side = side
        layers: list[nn.Module] = [nn.Conv2d(width, width, 3, padding=1), nn.GELU()]
        while side > 2:
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.GELU()]
            side = math.ceil(side / 2)
        self.convolutions = nn.Sequential(*layers)
        self.join = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(width * side * side, width), nn.Dropout(dropout)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, width), row by row -> (B, width)."""
        grid = patches.transpose(1, 2).reshape(len(patches), -1, self.side, self.side)
        joined: Tensor = self.join(self.convolutions(grid))
        return joined
