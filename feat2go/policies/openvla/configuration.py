"""What an OpenVLA checkpoint's config.json says of its network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class TowerConfig:
    """One vision transformer.

    Attributes:
        width, depth, num_heads, mlp_ratio: of its blocks.
        num_registers: register tokens.
        has_class_token, has_layer_scale, has_attention_pool: what sets DINOv2 and SigLIP apart.
        patch_size, image_size: in pixels; a grid of image_size // patch_size patches a side.
    """

    width: int
    depth: int
    num_heads: int
    mlp_ratio: float
    num_registers: int
    has_class_token: bool
    has_layer_scale: bool
    has_attention_pool: bool
    patch_size: int = 14
    image_size: int = 224

    @property
    def num_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def mlp_width(self) -> int:
        return int(self.width * self.mlp_ratio)


_DINOV2 = TowerConfig(1024, 24, 16, 4.0, 4, True, True, False)
_SIGLIP = TowerConfig(1152, 27, 16, 3.7362, 0, False, False, True)
TOWERS = {
    "vit_large_patch14_reg4_dinov2.lvd142m": _DINOV2,
    "vit_so400m_patch14_siglip_224": _SIGLIP,
    "vit_so400m_patch14_siglip_384": _SIGLIP,
}
# Names in `vision_backbone_overrides` -> ours.
_OVERRIDES = {"embed_dim": "width", "depth": "depth", "num_heads": "num_heads", "mlp_ratio": "mlp_ratio"}


@dataclass(frozen=True)
class OpenVLAConfig:
    """The architecture, and the numbers that tokens depend on.

    Attributes:
        towers: one vision transformer, or the two of the fused backbone.
        text: arguments of ``transformers.LlamaConfig``; what is not given has its defaults there.
        pad_token_id: fills up shorter prompts.
        num_action_bins: the last that many ids before the padding of the vocabulary are actions.
        pad_to_multiple_of: ids that the vocabulary was padded with.
        raw: the whole file.
    """

    towers: tuple[TowerConfig, ...]
    text: dict[str, Any]
    pad_token_id: int
    num_action_bins: int
    pad_to_multiple_of: int
    raw: dict[str, Any]

    @property
    def image_size(self) -> int:
        return self.towers[0].image_size

    @property
    def is_fused(self) -> bool:
        return len(self.towers) == 2

    @property
    def vision_width(self) -> int:
        return sum(tower.width for tower in self.towers)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> OpenVLAConfig:
        """Read the content of config.json.

        Raises:
            ValueError: for a field that is missing, or one that asks for what this network can't do.
        """
        _require(raw, "timm_model_ids", "image_sizes", "text_config")
        text = dict(raw["text_config"])
        if text.get("model_type", "llama") != "llama":
            raise ValueError(f"config.json: the language model must be a llama; text_config says {text['model_type']}")
        if "vocab_size" not in text:
            raise ValueError("config.json: text_config has no vocab_size")
        if any(raw.get("timm_override_act_layers") or []):
            raise ValueError(
                "config.json: timm_override_act_layers must be null for every tower (exact GELU); "
                f"got {raw['timm_override_act_layers']}"
            )
        is_fused = bool(raw.get("use_fused_vision_backbone", len(raw["timm_model_ids"]) == 2))
        if len(raw["timm_model_ids"]) != 1 + is_fused:
            raise ValueError(
                f"config.json: use_fused_vision_backbone is {is_fused}, so {1 + is_fused} timm_model_ids are expected; "
                f"got {raw['timm_model_ids']}"
            )
        return cls(
            towers=_towers(raw),
            text=text,
            pad_token_id=int(raw.get("pad_token_id", 32000)),
            num_action_bins=int(raw.get("n_action_bins", 256)),
            pad_to_multiple_of=int(raw.get("pad_to_multiple_of", 64)),
            raw=dict(raw),
        )

    @classmethod
    def from_folder(cls, folder: Path) -> OpenVLAConfig:
        """Read ``folder/config.json``.

        Raises:
            FileNotFoundError: if it isn't there.
            ValueError: as :meth:`from_dict`.
        """
        path = folder / CONFIG_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{folder} is no OpenVLA checkpoint: {CONFIG_FILE} is missing")
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _towers(raw: Mapping[str, Any]) -> tuple[TowerConfig, ...]:
    ids, sizes = raw["timm_model_ids"], raw["image_sizes"]
    overrides = raw.get("vision_backbone_overrides") or [{}] * len(ids)
    if not len(ids) == len(sizes) == len(overrides):
        raise ValueError("config.json: timm_model_ids, image_sizes and vision_backbone_overrides differ in length")
    if len(set(sizes)) > 1:
        raise ValueError(f"config.json: the towers see one picture, so image_sizes must be equal; got {sizes}")
    return tuple(_tower(*of_tower) for of_tower in zip(ids, sizes, overrides, strict=True))


def _tower(timm_id: str, image_size: int, override: Mapping[str, Any]) -> TowerConfig:
    if timm_id not in TOWERS:
        raise ValueError(f"config.json: unknown vision tower '{timm_id}'; known: {', '.join(TOWERS)}")
    changes = {key: value for key, value in override.items() if key != "timm_model_id"}
    unknown = changes.keys() - _OVERRIDES.keys()
    if unknown:
        raise ValueError(f"config.json: vision_backbone_overrides can't change {', '.join(sorted(unknown))}")
    if override.get("timm_model_id", timm_id) != timm_id:
        raise ValueError(f"config.json: the override of {override['timm_model_id']} stands in the place of {timm_id}")
    ours = {_OVERRIDES[key]: value for key, value in changes.items()}
    return replace(TOWERS[timm_id], image_size=int(image_size), **ours)


def _require(raw: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in raw]
    if missing:
        raise ValueError(f"config.json has no {', '.join(missing)}: it is not that of an OpenVLA checkpoint")
