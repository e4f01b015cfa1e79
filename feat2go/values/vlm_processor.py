"""From images and instructions to what an image-text model of transformers takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

SYSTEM_PROMPT = (
    "You are a strict judge of robot manipulation. You look at one image from the robot's camera and say how far the "
    "task has come."
)
USER_PROMPT = (
    "{image}The task is: {instruction}. How much of it is done in this image, from 0 (nothing) to 1 (all of it)?"
)
IMAGE, INSTRUCTION = "{image}", "{instruction}"
# A camera frame is one picture: cutting it into tiles, as for documents, would make ten times the tokens of it.
ONE_TILE = {"do_image_splitting": False, "crop_to_patches": False}

# The settings of image preprocessing that change the numbers. Versions of transformers add others, without effect.
_DECISIVE = (
    "size",
    "max_image_size",
    "resample",
    "rescale_factor",
    "image_mean",
    "image_std",
    "patch_size",
    "merge_size",
)


class PromptProcessor:
    """The checkpoint's own tokenizer, chat template and image preprocessing, around a prompt template.

    Runs on PIL, whether torchvision is installed or not, so that the numbers are the same with and without it. Videos
    are left out: they are what transformers needs torchvision for.

    Args:
        model: a Hugging Face id or a local folder. No code from the hub is run.
        system_prompt: the judge's role; no system message if empty.
        user_prompt: with ``{image}`` where the image goes and ``{instruction}`` where the sentence does, each once.

    Raises:
        ValueError: for a template without one of the two, or a folder that is no image-text model.
    """

    def __init__(self, model: str, system_prompt: str = SYSTEM_PROMPT, user_prompt: str = USER_PROMPT) -> None:
        for placeholder in (IMAGE, INSTRUCTION):
            if user_prompt.count(placeholder) != 1:
                raise ValueError(f"user_prompt needs {placeholder} exactly once; got '{user_prompt}'")
        self._processor = _load_processor(model)
        self._text = self._template(system_prompt, user_prompt)
        options = self._processor.image_processor
        self._image_options = {name: value for name, value in ONE_TILE.items() if hasattr(options, name)}

    @property
    def fingerprint(self) -> str:
        """Hash of tokenizer, image preprocessing and prompt."""
        settings = self._processor.image_processor.to_dict()
        parts = {
            "vocabulary": self._processor.tokenizer.get_vocab(),
            "image": {name: value for name, value in settings.items() if name in _DECISIVE},
            "prompt": self._text,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=dict).encode()).hexdigest()[:16]

    def __call__(self, images: Tensor, instruction: Sequence[str]) -> dict[str, Tensor]:
        """The model's inputs, padded on the right, on the CPU.

        Args:
            images: uint8 (B, H, W, 3).
            instruction: B sentences.

        Returns:
            ``input_ids`` and ``attention_mask`` (B, L), and what else the model takes.
        """
        text = [self._text.replace(INSTRUCTION, sentence) for sentence in instruction]
        bos = self._processor.tokenizer.bos_token
        inputs = self._processor(
            images=[[image] for image in images.cpu().numpy()],
            text=text,
            return_tensors="pt",
            images_kwargs={"input_data_format": "channels_last", **self._image_options},
            # A chat template has often put the first token there already.
            text_kwargs={
                "padding": True,
                "padding_side": "right",
                "add_special_tokens": not (bos and self._text.startswith(bos)),
            },
        )
        return {name: tensor for name, tensor in inputs.items() if name != "labels"}

    def _template(self, system_prompt: str, user_prompt: str) -> str:
        """The prompt in the model's chat format; plain text for a model that has none."""
        before, after = user_prompt.split(IMAGE)
        if self._processor.tokenizer.chat_template is None and self._processor.chat_template is None:
            text = user_prompt.replace(IMAGE, self._processor.image_token)
            return f"{system_prompt}\n{text}" if system_prompt else text
        content = [{"type": "text", "text": before}, {"type": "image"}, {"type": "text", "text": after}]
        messages = [{"role": "system", "content": [{"type": "text", "text": system_prompt}]}] if system_prompt else []
        messages.append({"role": "user", "content": [part for part in content if part.get("text") != ""]})
        rendered: str = self._processor.tokenizer.apply_chat_template(
            messages, chat_template=self._processor.chat_template, tokenize=False, add_generation_prompt=True
        )
        if rendered.count(INSTRUCTION) != 1:
            raise ValueError(f"the chat template of the model loses the instruction: {rendered!r}")
        return rendered


def _load_processor(model: str) -> Any:
    """The processor of a checkpoint, without its part for videos."""
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    try:
        config = AutoConfig.from_pretrained(model)
        parts = {
            "image_processor": AutoImageProcessor.from_pretrained(model, backend="pil"),  # type: ignore[no-untyped-call]
            "tokenizer": AutoTokenizer.from_pretrained(model),
        }
    except (OSError, ValueError) as error:
        raise ValueError(
            f"'{model}' can't be loaded as an image-text model: {str(error).splitlines()[0]} "
            "Give a folder in the layout of the hub, or a hub id while online."
        ) from error
    if type(config) not in PROCESSOR_MAPPING:
        raise ValueError(f"'{model}' is a {config.model_type}, which has no processor for images and text")
    processor_class = _without_videos(PROCESSOR_MAPPING[type(config)])
    settings, _ = processor_class.get_processor_dict(model)
    return processor_class.from_args_and_dict([parts.get(name) for name in processor_class.get_attributes()], settings)


def _without_videos(processor_class: Any) -> Any:
    """A processor class that may be built with None in place of a part."""

    def check(self: Any, name: str, part: Any) -> Any:
        return None if part is None else processor_class.check_argument_for_proper_class(self, name, part)

    return type(processor_class.__name__, (processor_class,), {"check_argument_for_proper_class": check})
