"""A pi0 checkpoint of a few kilobytes in transformers' layout, with random weights and a made-up tokenizer."""

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PI0Config, PI0ForConditionalGeneration, PreTrainedTokenizerFast

WORDS = ("<pad>", "<eos>", "<bos>", "<unk>", "\n", " ", "put", "the", "cube", "on", "plate")
VOCAB_SIZE = 64


def write_tiny_pi0(folder, seed=0):
    """Write the checkpoint and return its folder."""
    torch.manual_seed(seed)
    gemma = {
        "model_type": "gemma",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "vocab_size": VOCAB_SIZE,
    }
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "patch_size": 8,
        "image_size": 16,
        "vision_use_head": False,
    }
    config = PI0Config(
        vlm_config={
            "model_type": "paligemma",
            "text_config": gemma,
            "vision_config": vision,
            "projection_dim": 16,
            "image_token_id": VOCAB_SIZE,
        },
        dit_config=gemma,
        chunk_size=6,
        max_state_dim=8,
        max_action_dim=9,
        num_inference_steps=3,
    )
    PI0ForConditionalGeneration(config).save_pretrained(folder)
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Split(Regex(r"[ \n]"), "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder
