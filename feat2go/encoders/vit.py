"""Image transformers of the transformers library, from a hub id or a local folder.

``layer`` counts as ``hidden_states`` do: 0 is the embedding, k the output of block k, -1 the last. The model's final
norm is applied whichever layer is chosen, so -1 is the model's ``last_hidden_state``. The blocks after it are dropped,
which also makes a lower layer faster. Class and register tokens are left out: what remains are the patches, row by row.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from feat2go.core.hub import load_pretrained
from feat2go.encoders.frozen import FrozenEncoder
from feat2go.encoders.hub import decisive_settings, keep_layers
from feat2go.encoders.preprocess import Preprocess, patch_grid


class DINOv2(FrozenEncoder):
    """DINOv2 (Oquab et al., 2023, arXiv:2304.07193).

    For ViT-S, layers 8 to 10 of 12 compare patches better than the last: with sensor noise, the rank correlation of
    similarity and time was .43 to .46 for layers 7 to 9 and .24 for 12.

    Args:
        model: hub id such as ``facebook/dinov2-small``, or a local folder.
        layer: see above.
        image_size: side that frames are resized to, a multiple of the patch size.
        batch_size: frames at once.

    Raises:
        ValueError: for a model that can't be loaded, or a layer or image size that don't fit it.
    """

    def __init__(self, model: str, layer: int = -1, image_size: int = 224, batch_size: int = 32) -> None:
        from transformers import Dinov2Model

        network = load_pretrained(Dinov2Model, model)
        tokens = _PatchTokens(network, network.encoder.layer, layer, Preprocess(image_size), num_prefix_tokens=1)
        super().__init__(tokens, tokens.feature_shape, tokens.settings, batch_size)


class DINOv3(FrozenEncoder):
    """DINOv3 vision transformers (Siméoni et al., 2025, arXiv:2508.10104).

    Args:
        model: hub id such as ``facebook/dinov3-vits16-pretrain-lvd1689m``, or a local folder.
        layer: see above.
        image_size: side that frames are resized to, a multiple of the patch size.
        batch_size: frames at once.

    Raises:
        ValueError: for a model that can't be loaded, or a layer or image size that don't fit it.
    """

    def __init__(self, model: str, layer: int = -1, image_size: int = 224, batch_size: int = 32) -> None:
        from transformers import DINOv3ViTModel

        network = load_pretrained(DINOv3ViTModel, model)
        num_prefix_tokens = 1 + network.config.num_register_tokens
        preprocess = Preprocess(image_size, "bilinear")
        tokens = _PatchTokens(network, network.model.layer, layer, preprocess, num_prefix_tokens)
        super().__init__(tokens, tokens.feature_shape, tokens.settings, batch_size)


class SigLIP(FrozenEncoder):
    """The vision tower of SigLIP (Zhai et al., 2023, arXiv:2303.15343) or SigLIP 2 at a fixed resolution.

    Args:
        model: hub id such as ``google/siglip-base-patch16-224``, or a local folder, of the whole model or of the tower.
        layer: see above.
        image_size: side that frames are resized to, a multiple of the patch size; position embeddings are interpolated
            if it is not the model's own.
        batch_size: frames at once.

    Raises:
        ValueError: for a model that can't be loaded, or a layer or image size that don't fit it.
    """

    def __init__(self, model: str, layer: int = -1, image_size: int = 224, batch_size: int = 32) -> None:
        from transformers import SiglipVisionModel

        network = load_pretrained(SiglipVisionModel, model, vision_use_head=False)
        preprocess = Preprocess(image_size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        tokens = _PatchTokens(
            network, network.encoder.layers, layer, preprocess, num_prefix_tokens=0, interpolate_pos_encoding=True
        )
        super().__init__(tokens, tokens.feature_shape, tokens.settings, batch_size)


class _PatchTokens(nn.Module):
    """Frames to the patch tokens of a model that was cut after a layer."""

    def __init__(
        self,
        model: Any,
        blocks: nn.ModuleList,
        layer: int,
        preprocess: Preprocess,
        num_prefix_tokens: int,
        **arguments: bool,
    ) -> None:
        super().__init__()
        grid = patch_grid(preprocess.image_size, model.config.patch_size)
        self.feature_shape = (grid**2, int(model.config.hidden_size))
        self.settings: dict[str, object] = {
            "preprocess": asdict(preprocess),
            "layer": keep_layers(blocks, layer),
            **decisive_settings(model.config),
        }
        self.model = model
        self.preprocess = preprocess
        self.num_prefix_tokens = num_prefix_tokens
        self.arguments = arguments

    def forward(self, frames: Tensor) -> Tensor:
        tokens: Tensor = self.model(pixel_values=self.preprocess(frames), **self.arguments).last_hidden_state
        return tokens[:, self.num_prefix_tokens :]
