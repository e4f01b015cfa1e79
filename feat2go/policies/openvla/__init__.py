"""OpenVLA and OpenVLA-OFT, native: the public checkpoints with stock transformers and no remote code."""

from __future__ import annotations

from typing import Any

__all__ = ["OpenVLA", "OpenVLAOFT"]


def __getattr__(name: str) -> Any:
    # transformers takes seconds to import: only for those who want it.
    if name == "OpenVLA":
        from feat2go.policies.openvla.openvla import OpenVLA

        return OpenVLA
    if name == "OpenVLAOFT":
        from feat2go.policies.openvla.oft import OpenVLAOFT

        return OpenVLAOFT
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
