"""Picking something up from above."""

from __future__ import annotations

from typing import Any

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion, above

_HOVER_M = 0.08
_NEIGHBOUR_M = 0.12


def pick_up_cube(arm: Arm, cube: Any, neighbour: Any = None) -> Motion:
    """Grasp a cube by two of its sides, not by those where ``neighbour`` would be in the fingers' way."""

    def yaw() -> float:
        sides = arm.yaw_of(cube) + np.array([0, np.pi / 2])
        if neighbour is not None:
            x, y, _ = arm.position_of(neighbour) - arm.position_of(cube)
            if np.hypot(x, y) < _NEIGHBOUR_M:
                # The fingers lie across the yaw, so the neighbour should lie along it.
                return float(sides[np.abs(np.cos(sides - np.arctan2(y, x))).argmax()])
        return float(sides[np.abs(np.cos(sides - arm.yaw)).argmax()])

    yield from arm.move(lambda: above(arm.position_of(cube), _HOVER_M), OPEN, tolerance=0.02, yaw=yaw)
    yield from arm.move(lambda: arm.position_of(cube), OPEN, tolerance=0.008, yaw=yaw)
    yield from arm.grasp(cube)


def pick_up_ball(arm: Arm, ball: Any) -> Motion:
    """Grasp a ball, from whatever side."""
    yield from arm.move(lambda: above(arm.position_of(ball), _HOVER_M), OPEN, tolerance=0.02)
    yield from arm.move(lambda: arm.position_of(ball), OPEN, tolerance=0.008)
    yield from arm.grasp(ball)
