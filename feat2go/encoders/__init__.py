"""Visual world models: frames to patch features. Each lives in its own module, named in ``feat2go.registry``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feat2go.encoders.mobilenet import MobileNetV2

_MODULES = {"MobileNetV2": "mobilenet"}

__all__ = ["MobileNetV2"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'feat2go.encoders' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"feat2go.encoders.{_MODULES[name]}"), name)
