"""Value networks on a pretrained vision-language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from feat2go.core.hub import load_pretrained
from feat2go.core.lora import ALL_LINEAR, add_lora
from feat2go.values.bin_head import BinHead
from feat2go.values.hashing import weights_hash
from feat2go.values.prefix import last_hidden, last_hidden_shared
from feat2go.values.trained_part import keep_trained_only
from feat2go.values.vlm_processor import SYSTEM_PROMPT, USER_PROMPT, PromptProcessor

QWEN3_VL = "Qwen/Qwen3-VL-4B-Instruct"


class VLMValue(nn.Module):
    """Any image-text model of transformers as a value model.

    The prompt, with the current frame in it, goes through the model; the last token's hidden state goes through
    LayerNorm, GELU and an MLP to the bins (method of Feat2Go, arXiv 2605.30795, section 4).

    All parameters are trained, in ``dtype``; with ``lora_rank``, the model stays frozen in ``dtype`` and adapters and
    head are trained in float32. What is saved is what was trained; the rest comes from ``model`` again.

    Args:
        model: a Hugging Face id or a local folder of a model that ``AutoModelForImageTextToText`` knows: Qwen3-VL,
            Qwen2.5-VL, SmolVLM, InternVL, PaliGemma and others. Safetensors only, and no code from the hub is run.
        system_prompt: the judge's role; no system message if empty.
        user_prompt: with ``{image}`` where the image goes and ``{instruction}`` where the sentence does. With the image
            before the sentence, all text up to the image is computed once in a prediction.
        num_bins: of the distribution.
        head_width: of the MLP.
        dtype: of the model's parameters.
        lora_rank: 0 trains everything.
        lora_alpha: scale of the adapters, divided by the rank.
        lora_targets: ``all-linear``, or parts of the names of layers, see :func:`feat2go.core.lora.add_lora`.
        lora_exclude: parts of the names of layers that get no adapters.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        share_prefix: compute the common beginning of a batch once where no gradients are needed.

    Raises:
        ValueError: for a model that can't be loaded, a prompt without its placeholders, or names that no layer has.
    """

    def __init__(
        self,
        model: str,
        system_prompt: str = SYSTEM_PROMPT,
        user_prompt: str = USER_PROMPT,
        num_bins: int = 201,
        head_width: int = 512,
        dtype: Literal["float32", "bfloat16"] = "float32",
        lora_rank: int = 0,
        lora_alpha: float = 32.0,
        lora_targets: str | list[str] = ALL_LINEAR,
        lora_exclude: list[str] | None = None,
        gradient_checkpointing: bool = False,
        share_prefix: bool = True,
    ) -> None:
        from transformers import AutoModelForImageTextToText

        super().__init__()
        self.num_bins = num_bins
        self.share_prefix = share_prefix
        self._processor = PromptProcessor(model, system_prompt, user_prompt)
        # Without the language-modelling head, which nobody asks.
        self.backbone: Any = load_pretrained(AutoModelForImageTextToText, model, getattr(torch, dtype)).base_model
        self.fingerprints: Mapping[str, str] = {"prompt": self._processor.fingerprint}
        if lora_rank:
            self.fingerprints = {**self.fingerprints, "backbone": weights_hash(self.backbone.state_dict())}
            add_lora(self.backbone, lora_rank, lora_alpha, lora_targets, lora_exclude or ())
        if gradient_checkpointing:
            self.backbone.gradient_checkpointing_enable({"use_reentrant": False})
        # It is loaded in eval mode, which Lightning leaves as it is and in which transformers keeps all activations.
        self.backbone.train()
        self.head = BinHead(int(self.backbone.config.get_text_config().hidden_size), head_width, num_bins)
        keep_trained_only(self)

    @property
    def image_encoder(self) -> None:
        """None: images are kept as they are, since the vision tower is trained or depends on the model's own size."""
        return None

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> the same.

        Raises:
            ValueError: for another dtype or shape.
        """
        return require_images(images)

    def forward(self, prepared: Tensor, instruction: Sequence[str]) -> Tensor:
        """Images uint8 (B, H, W, 3) and B sentences -> logits (B, num_bins)."""
        inputs = {name: self._to_backbone(tensor) for name, tensor in self._processor(prepared, instruction).items()}
        is_shared = self.share_prefix and not torch.is_grad_enabled()
        hidden = (last_hidden_shared if is_shared else last_hidden)(self.backbone, inputs)
        logits: Tensor = self.head(hidden)
        return logits

    def _to_backbone(self, tensor: Tensor) -> Tensor:
        dtype = self.backbone.dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.backbone.device, dtype)


class Qwen3VLValue(VLMValue):
    """The paper's value model: Qwen3-VL-4B-Instruct as a judge.

    The paper prints neither its prompt nor whether all weights or adapters were trained; both are arguments here. By
    default, adapters in the language model are trained, over a bfloat16 base.

    Args:
        model: a Hugging Face id or a local folder of a Qwen3-VL of any size.
        system_prompt: the judge's role; no system message if empty.
        user_prompt: with ``{image}`` and ``{instruction}``.
        num_bins: of the distribution.
        head_width: of the MLP.
        dtype: of the model's parameters.
        lora_rank: 0 trains everything.
        lora_alpha: scale of the adapters, divided by the rank.
        lora_targets: ``all-linear``, or parts of the names of layers.
        lora_exclude: parts of the names of layers that get no adapters; by default the vision tower.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        share_prefix: compute the common beginning of a batch once where no gradients are needed.

    Raises:
        ValueError: see :class:`VLMValue`.
    """

    def __init__(
        self,
        model: str = QWEN3_VL,
        system_prompt: str = SYSTEM_PROMPT,
        user_prompt: str = USER_PROMPT,
        num_bins: int = 201,
        head_width: int = 512,
        dtype: Literal["float32", "bfloat16"] = "bfloat16",
        lora_rank: int = 32,
        lora_alpha: float = 32.0,
        lora_targets: str | list[str] = ALL_LINEAR,
        lora_exclude: list[str] | None = None,
        gradient_checkpointing: bool = False,
        share_prefix: bool = True,
    ) -> None:
        super().__init__(
            model=model,
            system_prompt=system_prompt,
            user_prompt=user_prompt,
            num_bins=num_bins,
            head_width=head_width,
            dtype=dtype,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            lora_targets=lora_targets,
            lora_exclude=["visual"] if lora_exclude is None else lora_exclude,
            gradient_checkpointing=gradient_checkpointing,
            share_prefix=share_prefix,
        )


def require_images(images: Tensor) -> Tensor:
    """The images, uint8 (B, H, W, 3).

    Raises:
        ValueError: for another dtype or shape.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"expected images uint8 (B, H, W, 3), got {images.dtype} of shape {tuple(images.shape)}")
    return images
