"""The protocols again, in the form that jsonargparse can check: import from here in signatures that YAML fills.

jsonargparse compares the annotations of a Protocol's methods letter by letter and can't see attributes, so a plug-in
that is perfectly usable would be refused. For it, each slot is an abstract class that any class with the right names
belongs to. For a type checker, the two are the same thing.
"""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feat2go.core.protocols import (
        Algorithm,
        Clustering,
        Encoder,
        Policy,
        RewardShaper,
        VectorEnv,
    )
    from feat2go.core.suites import Suite
else:

    def _structural(name: str, *members: str) -> type:
        def subclasshook(cls: type, other: type) -> bool:
            return all(hasattr(other, member) for member in members)

        return type(name, (ABC,), {"__subclasshook__": classmethod(subclasshook), "__module__": __name__})

    Encoder = _structural("Encoder", "fingerprint", "feature_shape", "encode_images", "encode_episode")
    Clustering = _structural("Clustering", "segment")
    RewardShaper = _structural("RewardShaper", "needs_value", "replaces_bootstrap", "__call__")
    Policy = _structural("Policy", "preprocess", "act", "evaluate", "encode", "decode", "shard_units")
    Algorithm = _structural("Algorithm", "loss")
    Suite = _structural("Suite", "name", "env", "settings")
    VectorEnv = _structural("VectorEnv", "reset", "step", "expert_actions", "close")

__all__ = ["Algorithm", "Clustering", "Encoder", "Policy", "RewardShaper", "Suite", "VectorEnv"]
