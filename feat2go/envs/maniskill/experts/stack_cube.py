"""StackCube: put the red cube on the green one."""

from __future__ import annotations

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion
from feat2go.envs.maniskill.experts.grasp import pick_up

_CARRY_HEIGHT_M = 0.10
_HOVER_M = 0.08
_CUBE_M = 0.04


def stack_cube(arm: Arm) -> Motion:
    """See the module."""
    red, green = arm.env.cubeA, arm.env.cubeB

    def over_green(height: float) -> np.ndarray:
        return arm.position_of(green) + np.array([0, 0, height])

    while True:
        yield from pick_up(arm, red, align=True)
        if not arm.is_grasping(red):
            continue
        start = arm.position_of(red)
        yield from arm.carry(red, lambda: start * [1, 1, 0] + [0, 0, _CARRY_HEIGHT_M], tolerance=0.03)
        yield from arm.carry(red, lambda: over_green(_HOVER_M), tolerance=0.008)
        yield from arm.carry(red, lambda: over_green(_CUBE_M + 0.0005), tolerance=0.003, speed=0.4, max_steps=15)
        yield from arm.hold(OPEN, 3)
        yield from arm.move(lambda: arm.position + np.array([0, 0, 0.05]), OPEN, tolerance=0.01, max_steps=3)
        while _is_on(arm, red, green):
            yield from arm.hold(OPEN, 1)


def _is_on(arm: Arm, upper: object, lower: object) -> bool:
    offset = arm.position_of(upper) - arm.position_of(lower)
    return bool(np.linalg.norm(offset[:2]) < _CUBE_M / 2 and offset[2] > 0.9 * _CUBE_M)
