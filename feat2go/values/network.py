"""What a value network has to offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from feat2go.core.protocols import Encoder


@runtime_checkable
class ValueNetwork(Protocol):
    """Image and instruction to a distribution over progress. A ``torch.nn.Module``.

    The work is cut in two, so that the part that training doesn't change is done once per image and kept.

    Attributes:
        num_bins: of the distribution, see :mod:`feat2go.values.heads`.
        image_encoder: where ``prepare`` gives this encoder's features of each image, the encoder, so that features of
            whole episodes may come from a cache; else None.
        fingerprints: part -> hash, of the frozen parts that ``state_dict`` leaves out because they are rebuilt from
            their own source.
    """

    num_bins: int

    @property
    def image_encoder(self) -> Encoder | None: ...

    @property
    def fingerprints(self) -> Mapping[str, str]: ...

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, ...), whatever ``forward`` takes. Without gradients."""

    def forward(self, prepared: Tensor, instruction: Sequence[str]) -> Tensor:
        """Prepared images (B, ...) and B sentences -> logits (B, num_bins)."""
