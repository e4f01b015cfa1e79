"""A value network that trains in a minute: pretrained patch features, the instruction, a small trunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from feat2go.core.slots import Encoder
from feat2go.values.convolution import ConvolutionTrunk
from feat2go.values.frozen_part import FrozenPart
from feat2go.values.text import HashedWords


class SmallValue(nn.Module):
    """Patch features of a frozen encoder and the embedded instruction -> bins over progress.

    Every patch becomes a token (LayerNorm, linear, learned position). For the transformer, the instruction is one more
    token, and what it holds in the end is read; for the convolution, it is added to every patch. LayerNorm, GELU and a
    linear layer lead to the bins, as in the paper's model.

    Args:
        encoder: builds the frozen encoder.
        text: builds the instruction embedder, an ``nn.Module`` with ``dim`` and ``fingerprint`` that takes B sentences
            and gives (B, dim); by default :class:`feat2go.values.text.HashedWords`.
        num_bins: of the distribution.
        width: of the tokens.
        num_layers: of the transformer.
        num_heads: of its attention; divides ``width``.
        dropout: in the trunk.
        trunk: ``"transformer"``, or ``"convolution"``, see :class:`feat2go.values.convolution.ConvolutionTrunk`: it
            needs an encoder with a square grid of patches, and trains several times faster.
    """

    def __init__(
        self,
        encoder: Callable[[], Encoder],
        text: Callable[[], nn.Module] | None = None,
        num_bins: int = 201,
        width: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        trunk: Literal["transformer", "convolution"] = "transformer",
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width must be a multiple of num_heads; got {width} and {num_heads}")
        if trunk not in ("transformer", "convolution"):
            raise ValueError(f"unknown trunk '{trunk}'; known: transformer, convolution")
        built_encoder = encoder()
        built_text: Any = HashedWords() if text is None else text()
        num_patches, feature_dim = built_encoder.feature_shape
        self.num_bins = num_bins
        self.fingerprints = {"encoder": built_encoder.fingerprint, "text": built_text.fingerprint}
        self.encoder = FrozenPart(built_encoder)
        self.text = FrozenPart(built_text)
        self.embed_patch = nn.Sequential(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, width))
        self.position = nn.Parameter(0.02 * torch.randn(num_patches, width))
        self.embed_instruction = nn.Linear(built_text.dim, width)
        self.trunk: nn.Module
        if trunk == "convolution":
            self.trunk = ConvolutionTrunk(num_patches, width, dropout)
        else:
            layer = nn.TransformerEncoderLayer(
                width, num_heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            self.trunk = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, num_bins))

    @property
    def image_encoder(self) -> Encoder:
        """The frozen encoder."""
        encoder: Encoder = self.encoder.part
        return encoder

    @torch.no_grad()
    def prepare(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> patch features (B, P, D); float16, so that kept and fresh ones are the same."""
        return self.image_encoder.encode_images(images).half()

    def forward(self, prepared: Tensor, instruction: Sequence[str]) -> Tensor:
        """Patch features (B, P, D) and B sentences -> logits (B, num_bins)."""
        patches = self.embed_patch(prepared.to(self.position.dtype)) + self.position
        sentence = self.embed_instruction(self.text.part(instruction).to(self.position))[:, None]
        if isinstance(self.trunk, ConvolutionTrunk):
            hidden = self.trunk(patches + sentence)
        else:
            hidden = self.trunk(torch.cat([sentence, patches], dim=1))[:, 0]
        logits: Tensor = self.head(hidden)
        return logits
