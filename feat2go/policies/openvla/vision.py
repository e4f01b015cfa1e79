"""The two vision towers, DINOv2 with registers and SigLIP, under timm's parameter names.

As in the original, features are the output of the second-to-last block without the final norm, and both towers have the
exact (erf) GELU. What comes after that block is in every checkpoint and never used.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from feat2go.policies.openvla.configuration import TowerConfig

_LAYER_NORM_EPS = 1e-6


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, length, width = tokens.shape
        qkv = self.qkv(tokens).view(rows, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.proj(mixed.transpose(1, 2).reshape(rows, length, width)))


class _MLP(nn.Module):
    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(functional.gelu(self.fc1(tokens))))


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale_factor = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.scale_factor


class VisionBlock(nn.Module):
    """Pre-norm transformer block; with FiLM, an instruction scales and shifts its tokens before the MLP."""

    def __init__(self, config: TowerConfig, film_width: int | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_LAYER_NORM_EPS)
        self.attn = _Attention(config.width, config.num_heads)
        self.ls1 = _LayerScale(config.width) if config.has_layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(config.width, eps=_LAYER_NORM_EPS)
        self.mlp = _MLP(config.width, config.mlp_width)
        self.ls2 = _LayerScale(config.width) if config.has_layer_scale else nn.Identity()
        self.scale = None if film_width is None else nn.Linear(film_width, config.width)
        self.shift = None if film_width is None else nn.Linear(film_width, config.width)

    def forward(self, tokens: Tensor, instruction: Tensor | None) -> Tensor:
        """Tokens (B, L, D), and with FiLM an instruction (B, film_width) -> (B, L, D)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        if self.scale is not None and self.shift is not None:
            tokens = tokens * (1 + self.scale(instruction)[:, None]) + self.shift(instruction)[:, None]
        return cast(Tensor, tokens + self.ls2(self.mlp(self.norm2(tokens))))


class _AttentionPool(nn.Module):
    """SigLIP's pooling head, of which only the parameters matter: they are in the checkpoint and never used."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        width = config.width
        self.latent = nn.Parameter(torch.zeros(1, 1, width))
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.mlp = _MLP(width, config.mlp_width)


class _PatchEmbed(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, kernel_size=config.patch_size, stride=config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.proj(pixels).flatten(2).transpose(1, 2))


class VisionTower(nn.Module):
    """One vision transformer.

    Args:
        config: its sizes.
        film_width: width of the instruction that modulates it, or None.
    """

    def __init__(self, config: TowerConfig, film_width: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = _PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.randn(1, config.num_patches, config.width) * 0.02)
        if config.has_class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        if config.num_registers:
            self.reg_token = nn.Parameter(torch.zeros(1, config.num_registers, config.width))
        self.blocks = nn.ModuleList(VisionBlock(config, film_width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=_LAYER_NORM_EPS)
        if config.has_attention_pool:
            self.attn_pool = _AttentionPool(config)

    def embed(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) -> tokens (B, prefix + P, D): class token, registers, patches row by row."""
        patches = self.patch_embed(pixels) + self.pos_embed
        prefix = [getattr(self, name) for name in ("cls_token", "reg_token") if hasattr(self, name)]
        return torch.cat([*(token.expand(len(pixels), -1, -1) for token in prefix), patches], dim=1)

    def forward(self, pixels: Tensor, instruction: Tensor | None = None) -> Tensor:
        """Pixels (B, 3, H, W) -> patch features (B, P, D) of the second-to-last block."""
        tokens = self.embed(pixels)
        for block in self.blocks[: self.config.depth - 1]:
            tokens = block(tokens, instruction)
        return tokens[:, -self.config.num_patches :]

    def unused_names(self) -> list[str]:
        """Names of the parameters behind the features: last block, final norm, pooling."""
        last = f"blocks.{self.config.depth - 1}."
        return [name for name, _ in self.named_parameters() if name.startswith((last, "norm.", "attn_pool."))]

    def drop_unused(self) -> None:
        """Remove those parameters, so that nothing adapts, trains or shards them."""
        del self.blocks[self.config.depth - 1 :]
        del self.norm
        if self.config.has_attention_pool:
            del self.attn_pool


class VisionBackbone(nn.Module):
    """One tower, or two that see the same picture and whose features stand side by side.

    Args:
        towers: the sizes of one or two towers; DINOv2 first, SigLIP second.
        film_width: width of the instruction that modulates them, or None.
    """

    def __init__(self, towers: tuple[TowerConfig, ...], film_width: int | None = None) -> None:
        super().__init__()
        self.featurizer = VisionTower(towers[0], film_width)
        if len(towers) == 2:
            self.fused_featurizer = VisionTower(towers[1], film_width)
        self.image_size = towers[0].image_size

    @property
    def towers(self) -> dict[str, VisionTower]:
        """By name, in the order of the channels."""
        return {name: module for name, module in self.named_children() if isinstance(module, VisionTower)}

    @property
    def channels_per_image(self) -> int:
        return 3 * len(self.towers)

    def forward(self, pixel_values: Tensor, instruction: Tensor | None = None) -> Tensor:
        """Pixels (B, n * channels, H, W) of n pictures -> patch features (B, n * P, D), picture by picture.

        Raises:
            ValueError: for other channels or sizes.
        """
        rows, channels = pixel_values.shape[:2]
        side, per_image = self.image_size, self.channels_per_image
        if channels % per_image or not channels or pixel_values.shape[2:] != (side, side):
            raise ValueError(
                f"pixel_values must be (B, n * {per_image}, {side}, {side}), {per_image} channels for each picture; "
                f"got {tuple(pixel_values.shape)}"
            )
        num_images = channels // per_image
        pixels = pixel_values.reshape(rows * num_images, per_image, side, side)
        if instruction is not None:
            instruction = instruction.repeat_interleave(num_images, dim=0)
        features = [
            tower(seen, instruction)
            for tower, seen in zip(self.towers.values(), torch.split(pixels, 3, dim=1), strict=True)
        ]
        return torch.cat(features, dim=2).view(rows, -1, sum(tower.config.width for tower in self.towers.values()))
