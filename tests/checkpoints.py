"""Small random OpenVLA checkpoints in the public layout, tokenizer included, for tests and for configs/*_tiny.yaml.

    python tests/checkpoints.py FOLDER [--proprio-dim 8 --image-size 28 ...]

Every argument of ``make_openvla`` is an option. The same folder serves ``openvla`` and ``openvla_oft``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

DINOV2, SIGLIP = "vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"
SENTENCES = [
    "In: What action should the robot take to put the red cube on the plate?\nOut:",
    "In: What action should the robot take to pick up the green carrot and stack it?\nOut:",
]


def make_openvla(
    folder: str | Path,
    hidden_size: int = 32,
    num_layers: int = 2,
    num_heads: int = 4,
    num_kv_heads: int | None = None,
    intermediate_size: int = 64,
    vision_widths: tuple[int, ...] = (16, 24),
    vision_depths: tuple[int, ...] = (2, 3),
    vision_heads: int = 2,
    image_size: int = 28,
    action_dim: int = 7,
    proprio_dim: int = 8,
    num_shards: int = 1,
    dtype: str = "float32",
    seed: int = 0,
    with_extras: bool = True,
    **text_config: object,
) -> Path:
    """Write a random checkpoint; the sizes are the network's.

    Args:
        folder: gets config.json, weights, tokenizer.json, preprocessor_config.json and dataset_statistics.json.
        vision_widths, vision_depths: of DINOv2 and SigLIP, or of SigLIP alone.
        num_shards: files that the weights are spread over.
        with_extras: OFT's action head, proprioception projector and FiLM, in files of their own.
        text_config: further fields of it, such as ``rms_norm_eps`` or ``rope_theta``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = {
        "model_type": "llama",
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads or num_heads,
        "num_hidden_layers": num_layers,
        "vocab_size": 32064,
        "pad_token_id": 32000,
        **text_config,
    }
    ids = [DINOV2, SIGLIP][-len(vision_widths) :]
    overrides = [
        {"timm_model_id": name, "embed_dim": width, "depth": depth, "num_heads": vision_heads}
        for name, width, depth in zip(ids, vision_widths, vision_depths, strict=True)
    ]
    config = {
        "architectures": ["OpenVLAForActionPrediction"],
        "model_type": "openvla",
        "arch_specifier": "no-align+fused-gelu-mlp",
        "image_resize_strategy": "resize-naive",
        "image_sizes": [image_size] * len(ids),
        "n_action_bins": 256,
        "pad_to_multiple_of": 64,
        "pad_token_id": 32000,
        "text_config": text,
        "timm_model_ids": ids,
        "timm_override_act_layers": [None] * len(ids),
        "torch_dtype": dtype,
        "use_fused_vision_backbone": len(ids) == 2,
        "vision_backbone_overrides": overrides,
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "preprocessor_config.json", _preprocessor(ids, image_size))
    _write_json(folder / "dataset_statistics.json", _statistics(action_dim, proprio_dim, seed))
    _write_tokenizer(folder)
    generator = torch.Generator().manual_seed(seed)
    _write_weights(folder, config, generator, num_shards)
    if with_extras:
        _write_extras(folder, config, action_dim, proprio_dim, generator)
    return folder


def _write_weights(folder: Path, config: dict, generator: torch.Generator, num_shards: int) -> None:
    from feat2go.policies.openvla.configuration import OpenVLAConfig
    from feat2go.policies.openvla.network import OpenVLANetwork

    with torch.device("meta"):
        network = OpenVLANetwork(OpenVLAConfig.from_dict(config))
    dtype = getattr(torch, config["torch_dtype"])
    tensors = {k: _random(k, v.shape, generator).to(dtype) for k, v in network.state_dict().items()}
    if num_shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return
    names = list(tensors)
    weight_map = {}
    for i in range(num_shards):
        file = f"model-{i + 1:05d}-of-{num_shards:05d}.safetensors"
        shard = {name: tensors[name] for name in names[i::num_shards]}
        save_file(shard, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    size = sum(tensor.nbytes for tensor in tensors.values())
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": weight_map})


def _write_extras(folder: Path, config: dict, action_dim: int, proprio_dim: int, generator: torch.Generator) -> None:
    from feat2go.policies.openvla.heads import L1Head, ProprioProjector

    width = config["text_config"]["hidden_size"]
    for file, module in (
        ("action_head.safetensors", L1Head(action_dim, width, width)),
        ("proprio_projector.safetensors", ProprioProjector(proprio_dim, width)),
    ):
        save_file({k: _random(k, v.shape, generator) for k, v in module.state_dict().items()}, folder / file)
    towers = ("featurizer", "fused_featurizer")
    film = {}
    for tower, sizes in zip(towers, config["vision_backbone_overrides"], strict=False):
        for block in range(sizes["depth"]):
            for part in ("scale", "shift"):
                name = f"vision_backbone.{tower}.blocks.{block}.{part}"
                film[f"{name}.weight"] = _random(name, (sizes["embed_dim"], width), generator) * 0.3
                film[f"{name}.bias"] = _random(f"{name}.bias", (sizes["embed_dim"],), generator)
    save_file(film, folder / "film.safetensors")


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith("bias"):
        return 0.05 * noise
    if "norm" in name or "scale_factor" in name:
        return 1 + 0.1 * noise
    return noise / math.sqrt(math.prod(shape[1:]) or 1)


def _preprocessor(ids: list[str], image_size: int) -> dict:
    imagenet, half = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5] * 3, [0.5] * 3)
    colours = [imagenet if name == DINOV2 else half for name in ids]
    return {
        "image_processor_type": "PrismaticImageProcessor",
        "image_resize_strategy": "resize-naive",
        "input_sizes": [[3, image_size, image_size]] * len(ids),
        "interpolations": ["bicubic"] * len(ids),
        "means": [mean for mean, _ in colours],
        "stds": [std for _, std in colours],
        "use_fused_vision_backbone": len(ids) == 2,
    }


def _statistics(action_dim: int, proprio_dim: int, seed: int) -> dict:
    generator = torch.Generator().manual_seed(seed + 1)

    def ranges(size: int) -> dict:
        low, spread = torch.rand(2, size, generator=generator)
        rows = {"min": -1.2 - low, "q01": -1 - low, "q99": spread + 0.5, "max": spread + 0.7}
        return {name: [round(value, 6) for value in row.tolist()] for name, row in rows.items()}

    action = {**ranges(action_dim), "mask": [True] * (action_dim - 1) + [False]}
    return {"tiny": {"action": action, "proprio": ranges(proprio_dim), "num_trajectories": 1, "num_transitions": 1}}


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    from jsonargparse import CLI

    print(CLI(make_openvla))
