"""ManiSkill3 tasks as a vector environment. Importing this package imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feat2go.envs.maniskill.requirements import Check, RequirementError, check

if TYPE_CHECKING:
    from feat2go.envs.maniskill.env import ManiSkill


def __getattr__(name: str) -> Any:
    if name == "ManiSkill":
        from feat2go.envs.maniskill.env import ManiSkill

        return ManiSkill
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Check", "ManiSkill", "RequirementError", "check"]
