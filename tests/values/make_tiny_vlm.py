"""Tiny image-text models with random weights, in the layout of their public checkpoints. Needs no network.

Run as ``python tests/values/make_tiny_vlm.py qwen3_vl FOLDER``.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    GemmaConfig,
    InternVLConfig,
    LlamaConfig,
    PaliGemmaConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen3VLConfig,
    SiglipVisionConfig,
    SmolVLMConfig,
)

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**TEXT, "num_key_value_heads": 2}
VISION = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
QWEN_VISION = {"hidden_size": 32, "intermediate_size": 32, "depth": 2, "num_heads": 2, "out_hidden_size": 32}
QWEN_SPECIAL = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
QWEN_TOKENS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def tokenizer(special, image, named=None):
    """Bytes and special tokens; no merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    names = ["<pad>", "<bos>", "<eos>", "<|im_start|>", "<|im_end|>", *special]
    backend.add_special_tokens([AddedToken(name, special=True) for name in names])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        extra_special_tokens=named or {},
        chat_template=image and CHATML.replace("IMAGE", image),
    )


def qwen3_vl():
    text = tokenizer(QWEN_SPECIAL, QWEN_IMAGE)
    config = Qwen3VLConfig(
        text_config={
            **GROUPED,
            "vocab_size": len(text),
            "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        },
        vision_config={**QWEN_VISION, "patch_size": 4, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
        **{name: text.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()},
    )
    return config, text, {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 4,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 16 * 16, "longest_edge": 32 * 32},
        **HALF,
    }  # fmt: skip


def qwen2_5_vl():
    text = tokenizer(QWEN_SPECIAL, QWEN_IMAGE)
    config = Qwen2_5_VLConfig(
        text_config={
            **GROUPED,
            "vocab_size": len(text),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        },
        vision_config={**QWEN_VISION, "patch_size": 4, "window_size": 16, "fullatt_block_indexes": [1]},
        **{name: text.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()},
    )
    return config, text, {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "patch_size": 4,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 16 * 16, "longest_edge": 32 * 32},
    }  # fmt: skip


def smolvlm():
    special = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<video>"]
    text = tokenizer([*special, *(f"<row_{i}_col_{j}>" for i in (1, 2) for j in (1, 2))], "<image>")
    config = SmolVLMConfig(
        text_config=LlamaConfig(**GROUPED, vocab_size=len(text), pad_token_id=text.pad_token_id).to_dict(),
        vision_config={**VISION, "image_size": 16, "patch_size": 4},
        scale_factor=2,
        image_token_id=text.convert_tokens_to_ids("<image>"),
        pad_token_id=text.pad_token_id,
    )
    return config, text, {
        "image_processor_type": "SmolVLMImageProcessor",
        "processor_class": "SmolVLMProcessor",
        "size": {"longest_edge": 32},
        "max_image_size": {"longest_edge": 16},
        "image_seq_len": 4,
        **HALF,
    }  # fmt: skip


def internvl():
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    text = tokenizer(list(named.values()), "<IMG_CONTEXT>", named)
    config = InternVLConfig(
        text_config=Qwen2Config(**GROUPED, vocab_size=len(text)).to_dict(),
        vision_config={**VISION, "image_size": 16, "patch_size": 4},
        image_token_id=text.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    return config, text, {
        "image_processor_type": "GotOcr2ImageProcessorFast",
        "processor_class": "InternVLProcessor",
        "size": {"height": 16, "width": 16},
        "image_seq_length": 4,
    }  # fmt: skip


def paligemma():
    text = tokenizer(["<image>"], None, {"image_token": "<image>"})
    # The processor adds 1,152 tokens for places and segments.
    vocab_size = len(text) + 1152
    config = PaliGemmaConfig(
        text_config=GemmaConfig(**GROUPED, head_dim=8, vocab_size=vocab_size, pad_token_id=text.pad_token_id).to_dict(),
        vision_config=SiglipVisionConfig(**VISION, image_size=16, patch_size=4, vision_use_head=False).to_dict(),
        image_token_index=text.convert_tokens_to_ids("<image>"),
        vocab_size=vocab_size,
        projection_dim=32,
        hidden_size=32,
    )
    return config, text, {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "PaliGemmaProcessor",
        "size": {"height": 16, "width": 16},
        "image_seq_length": 16,
    }  # fmt: skip


FAMILIES = {make.__name__: make for make in (qwen3_vl, qwen2_5_vl, smolvlm, internvl, paligemma)}


def make_tiny_vlm(family, folder, seed=0):
    """Write a checkpoint of one of ``FAMILIES`` and return its folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config, text, image_processor = FAMILIES[family]()
    torch.manual_seed(seed)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    assert AutoConfig.from_pretrained(folder).model_type == family
    text.save_pretrained(folder)
    of_processor = {
        name: image_processor.get(name) for name in ("processor_class", "image_seq_len", "image_seq_length")
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(image_processor))
    (folder / "processor_config.json").write_text(json.dumps({k: v for k, v in of_processor.items() if v is not None}))
    return folder


if __name__ == "__main__":
    print(make_tiny_vlm(*sys.argv[1:]))
