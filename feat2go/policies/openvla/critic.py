"""The critic that reads the policy's own hidden state."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

LEVELS = ("chunk", "action")
_WIDTHS = (512, 128)


class CriticHead(nn.Module):
    """hidden -> 512 -> 128 -> values, with GELU, as RLinf and RL4VLA train it beside OpenVLA.

    The last layer has no bias and starts at N(0, 0.02); the others start as Kaiming et al. propose (fan out).

    Args:
        width: of the language model.
        num_values: 1 for one value of a whole chunk, C for one of each action.
    """

    def __init__(self, width: int, num_values: int) -> None:
        super().__init__()
        first, second = _WIDTHS
        self.layers = nn.Sequential(
            nn.Linear(width, first),
            nn.GELU(),
            nn.Linear(first, second),
            nn.GELU(),
            nn.Linear(second, num_values, bias=False),
        )
        *inner, last = (layer for layer in self.layers if isinstance(layer, nn.Linear))
        for layer in inner:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(last.weight, std=0.02)

    def forward(self, hidden: Tensor) -> Tensor:
        """The state (B, width) before the first action token -> float32 (B, num_values)."""
        dtype = next(self.parameters()).dtype
        return cast(Tensor, self.layers(hidden.to(dtype)).float())
