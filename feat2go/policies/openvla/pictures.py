"""Pictures to the pixels of both vision towers, as the original's image processor makes them.

Resizing is Pillow's, since the public checkpoints were trained on it: its bicubic filter works in fixed point on uint8,
which no floating-point resize repeats to the last grey level.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from feat2go.policies.openvla.configuration import OpenVLAConfig

PREPROCESSOR_FILE = "preprocessor_config.json"
STRATEGIES = ("resize-naive", "resize-crop", "letterbox")
_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Share of the area that evaluation keeps of a picture, for checkpoints that were tuned on random crops.
_CENTER_CROP_AREA = 0.9


@dataclass(frozen=True)
class TowerPixels:
    """What one tower wants: a side in pixels, a filter's name, and mean and deviation of each colour."""

    side: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ImageProcessor:
    """Resize, crop and normalise, once per tower.

    Attributes:
        towers: in the order of the channels.
        strategy: ``resize-naive`` ignores the aspect ratio; ``resize-crop`` brings the shorter side to size and crops
            the middle; ``letterbox`` pads to a square first.
    """

    towers: tuple[TowerPixels, ...]
    strategy: str

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"unknown image_resize_strategy '{self.strategy}'; known: {', '.join(STRATEGIES)}")
        unknown = {tower.interpolation for tower in self.towers} - _FILTERS.keys()
        if unknown:
            raise ValueError(f"unknown interpolation {', '.join(unknown)}; known: {', '.join(_FILTERS)}")

    @classmethod
    def from_folder(cls, folder: Path, config: OpenVLAConfig) -> ImageProcessor:
        """Read preprocessor_config.json; where there is none, what the towers of the config were trained with.

        Raises:
            ValueError: for a strategy or a filter that is unknown, or sizes that are not the config's.
        """
        path = folder / PREPROCESSOR_FILE
        if not path.is_file():
            defaults = (_IMAGENET if tower.has_class_token else _HALF for tower in config.towers)
            towers = tuple(TowerPixels(config.image_size, "bicubic", mean, std) for mean, std in defaults)
            return cls(towers, config.raw.get("image_resize_strategy", "resize-naive"))
        raw: dict[str, Any] = json.loads(path.read_text())
        fields = (raw["input_sizes"], raw["interpolations"], raw["means"], raw["stds"])
        if {len(field) for field in fields} != {len(config.towers)}:
            raise ValueError(f"{path}: it must describe {len(config.towers)} towers, as config.json does")
        towers = tuple(
            TowerPixels(size[-1], name, tuple(m), tuple(s)) for size, name, m, s in zip(*fields, strict=True)
        )
        if {tower.side for tower in towers} != {config.image_size}:
            raise ValueError(f"{path}: input_sizes {raw['input_sizes']} are not config.json's {config.image_size}")
        return cls(towers, raw.get("image_resize_strategy", "resize-naive"))

    def __call__(self, pictures: Sequence[np.ndarray], center_crop: bool = False) -> Tensor:
        """Pictures uint8 (H, W, 3) of any sizes -> float32 (B, 3 * towers, side, side).

        Args:
            pictures: B of them.
            center_crop: keep the middle 90 % of the area, as the evaluation of models that were tuned on crops does.
        """
        rows = []
        for picture in pictures:
            if center_crop:
                picture = crop_center(picture, self.towers[0].side)
            image = self._letterboxed(Image.fromarray(picture))
            resized = {name: self._resized(image, name) for name in {tower.interpolation for tower in self.towers}}
            rows.append(np.concatenate([_normalised(resized[tower.interpolation], tower) for tower in self.towers]))
        return torch.from_numpy(np.stack(rows))

    def _letterboxed(self, image: Image.Image) -> Image.Image:
        if self.strategy != "letterbox":
            return image
        longest = max(image.size)
        left, top = ((longest - side) // 2 for side in image.size)
        # The original's processor fills for both towers with the mean colour of the last one.
        fill = tuple(int(value * 255) for value in self.towers[-1].mean)
        padded = Image.new("RGB", (image.width + 2 * left, image.height + 2 * top), fill)
        padded.paste(image, (left, top))
        return padded

    def _resized(self, image: Image.Image, interpolation: str) -> np.ndarray:
        side = self.towers[0].side
        size = (side, side) if self.strategy == "resize-naive" else _shorter_side(image.size, side)
        resized = image.resize(size, _FILTERS[interpolation])
        left, top = (round((length - side) / 2) for length in resized.size)
        return np.asarray(resized)[top : top + side, left : left + side].astype(np.float32) / np.float32(255)


def _normalised(picture: np.ndarray, tower: TowerPixels) -> np.ndarray:
    normalised = (picture - np.array(tower.mean, np.float32)) / np.array(tower.std, np.float32)
    return normalised.transpose(2, 0, 1)


def _shorter_side(size: tuple[int, int], side: int) -> tuple[int, int]:
    width, height = size
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def crop_center(picture: np.ndarray, side: int) -> np.ndarray:
    """The middle 90 % of the area at ``side`` pixels: TensorFlow's crop_and_resize, without TensorFlow.

    Bilinear without antialiasing; back to uint8 by truncating value * 255.5, as TensorFlow converts. Fewer than 2 of
    10,000 values differ from TensorFlow's, by 1.

    Args:
        picture: uint8 (H, W, 3).
        side: of the result.
    """
    share = math.sqrt(_CENTER_CROP_AREA)
    values = picture.astype(np.float32) / np.float32(255)
    for axis in (1, 0):
        values = _sample(values, axis, (1 - share) / 2, share, side)
    levels: np.ndarray = np.trunc(values * np.float32(255.5)).clip(0, 255).astype(np.uint8)
    return levels


def _sample(values: np.ndarray, axis: int, low: float, share: float, side: int) -> np.ndarray:
    """Linear samples along one axis, from ``low`` on over a ``share`` of it."""
    last = values.shape[axis] - 1
    position = np.float32(low * last) + np.arange(side, dtype=np.float32) * np.float32(share * last / (side - 1))
    below = np.floor(position).astype(np.int64).clip(0, last)
    above = np.minimum(below + 1, last)
    shape = [1] * values.ndim
    shape[axis] = side
    weight = (position - below).reshape(shape)
    lower, upper = values.take(below, axis), values.take(above, axis)
    sampled: np.ndarray = (lower + (upper - lower) * weight).astype(np.float32)
    return sampled


def by_camera(images: Any) -> list[list[np.ndarray]]:
    """Pictures as lists of uint8 (H, W, 3), one list per camera.

    Args:
        images: camera -> pictures, or the pictures of a single camera. Pictures are uint8 (B, H, W, 3), or a sequence
            of PIL images and uint8 (H, W, 3) arrays or tensors of any sizes, or a single one of these.

    Raises:
        ValueError: for anything else, or cameras with different numbers of pictures.
    """
    cameras = list(images.values()) if isinstance(images, Mapping) else [images]
    pictures = [[_array(picture) for picture in _as_rows(camera)] for camera in cameras]
    if len({len(camera) for camera in pictures}) != 1 or not pictures[0]:
        raise ValueError(f"every camera must have the same number of pictures; got {[len(c) for c in pictures]}")
    return pictures


def _as_rows(camera: Any) -> Any:
    is_single = isinstance(camera, Image.Image) or getattr(camera, "ndim", 4) == 3
    return [camera] if is_single else camera


def _array(picture: Any) -> np.ndarray:
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    array = picture.cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (H, W, 3); got {array.dtype} {array.shape}")
    return np.ascontiguousarray(array)
