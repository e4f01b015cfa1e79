"""Visual world models: frames to patch features. Importing this package imports none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feat2go.encoders.baselines import PixelPatches, RandomPatches
    from feat2go.encoders.cache import CachedEncoder
    from feat2go.encoders.frozen import FrozenEncoder
    from feat2go.encoders.mobilenet import MobileNetV2
    from feat2go.encoders.packaged import DINOv2Small
    from feat2go.encoders.vit import DINOv2, DINOv3, SigLIP
    from feat2go.encoders.vjepa2 import VJEPA2

_MODULES = {
    "CachedEncoder": "cache",
    "DINOv2": "vit",
    "DINOv2Small": "packaged",
    "DINOv3": "vit",
    "FrozenEncoder": "frozen",
    "MobileNetV2": "mobilenet",
    "PixelPatches": "baselines",
    "RandomPatches": "baselines",
    "SigLIP": "vit",
    "VJEPA2": "vjepa2",
}

__all__ = [
    "VJEPA2",
    "CachedEncoder",
    "DINOv2",
    "DINOv2Small",
    "DINOv3",
    "FrozenEncoder",
    "MobileNetV2",
    "PixelPatches",
    "RandomPatches",
    "SigLIP",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'feat2go.encoders' has no attribute '{name}'")
    return getattr(import_module(f"feat2go.encoders.{_MODULES[name]}"), name)
