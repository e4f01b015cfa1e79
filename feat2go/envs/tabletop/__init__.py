"""The built-in environment. Importing this package imports nothing heavy: its worker processes need no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feat2go.envs.tabletop.env import Tabletop


def __getattr__(name: str) -> Any:
    if name == "Tabletop":
        from feat2go.envs.tabletop.env import Tabletop

        return Tabletop
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Tabletop"]
