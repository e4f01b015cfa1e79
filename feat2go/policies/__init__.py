"""Observation and instruction to action tokens, log-probs and a critic value."""

from typing import TYPE_CHECKING, Any

from feat2go.policies.load import load_policy
from feat2go.policies.tiny_vla import TinyVLA

if TYPE_CHECKING:
    from feat2go.policies.openvla import OpenVLA, OpenVLAOFT

__all__ = ["OpenVLA", "OpenVLAOFT", "TinyVLA", "load_policy"]


def __getattr__(name: str) -> Any:
    # transformers takes seconds to import: only for those who want it.
    if name in ("OpenVLA", "OpenVLAOFT"):
        from feat2go.policies import openvla

        return getattr(openvla, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
