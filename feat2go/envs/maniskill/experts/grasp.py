"""Picking something up from above."""

from __future__ import annotations

from typing import Any

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion, above

_HOVER_M = 0.08


def pick_up(arm: Arm, body: Any, align: bool) -> Motion:
    """Go above it, down to it, and close the fingers on it; ``align``: parallel to its sides."""
    yaw = (lambda: arm.yaw_of(body)) if align else (lambda: 0.0)
    yield from arm.move(lambda: above(arm.position_of(body), _HOVER_M), OPEN, tolerance=0.02, yaw=yaw)
    yield from arm.move(lambda: arm.position_of(body), OPEN, tolerance=0.008, yaw=yaw)
    yield from arm.grasp(body)
