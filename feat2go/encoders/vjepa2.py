"""V-JEPA 2 (Assran et al., 2025, arXiv:2506.09985), the paper's world model, as a per-frame encoder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import torch
from torch import Tensor, nn

from feat2go.core import FeatureTrack
from feat2go.core.hub import load_pretrained
from feat2go.encoders.frozen import FrozenEncoder
from feat2go.encoders.hub import decisive_settings, keep_layers
from feat2go.encoders.preprocess import Preprocess, check_frames, patch_grid


class VJEPA2(FrozenEncoder):
    """V-JEPA 2 on clips of two frames, the size of its tubelets: one row of patches per frame, no look-ahead.

    Args:
        model: hub id such as ``facebook/vjepa2-vitl-fpc64-256``, or a local folder.
        layer: 0 is the embedding, k the output of block k, -1 the last; the final norm is always applied.
        tubelet: the clip of frame t in an episode. ``"duplicate"`` is [t, t], each frame as a still; ``"previous"`` is
            [t-1, t], which also shows motion, with [0, 0] for the first. Single images are always duplicated.
        image_size: side that frames are resized to, a multiple of the patch size.
        batch_size: clips at once.

    Raises:
        ValueError: for a model that can't be loaded, or a layer, tubelet or image size that don't fit it.
    """

    def __init__(
        self,
        model: str,
        layer: int = -1,
        tubelet: Literal["duplicate", "previous"] = "duplicate",
        image_size: int = 256,
        batch_size: int = 16,
    ) -> None:
        from transformers import VJEPA2Model

        if tubelet not in ("duplicate", "previous"):
            raise ValueError(f"tubelet must be 'duplicate' or 'previous', got '{tubelet}'")
        # The positions of patches are counted on a grid of crop_size.
        network = load_pretrained(VJEPA2Model, model, crop_size=image_size)
        config, encoder = network.config, network.encoder
        if config.tubelet_size != 2:
            raise ValueError(f"'{model}' has tubelets of {config.tubelet_size} frames; only 2 are supported")
        num_patches = patch_grid(image_size, config.patch_size) ** 2
        preprocess = Preprocess(image_size, "bilinear")
        settings = {
            "preprocess": asdict(preprocess),
            "layer": keep_layers(encoder.layer, layer),
            "tubelet": tubelet,
            **decisive_settings(config),
        }
        super().__init__(_Clips(preprocess, encoder), (num_patches, config.hidden_size), settings, batch_size)
        self.tubelet = tubelet

    @torch.no_grad()
    def encode_episode(self, frames: Tensor) -> FeatureTrack:
        if self.tubelet == "duplicate":
            return super().encode_episode(frames)
        check_frames(frames)
        previous = torch.cat([frames[:1], frames[:-1]])
        clips = zip(self._batches(frames), self._batches(previous), strict=True)
        return self._track(self.network(now, before) for now, before in clips)


class _Clips(nn.Module):
    def __init__(self, preprocess: Preprocess, encoder: Any) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.encoder = encoder

    def forward(self, frames: Tensor, previous: Tensor | None = None) -> Tensor:
        """The frames after ``previous``, or after themselves: (B, H, W, 3) each -> (B, P, D)."""
        now = self.preprocess(frames)
        before = now if previous is None else self.preprocess(previous)
        tokens: Tensor = self.encoder(pixel_values_videos=torch.stack([before, now], dim=1)).last_hidden_state
        return tokens
