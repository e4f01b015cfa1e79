"""StackCube: put the red cube on the green one."""

from __future__ import annotations

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion, Position, above
from feat2go.envs.maniskill.experts.grasp import pick_up_cube

_CARRY_HEIGHT_M = 0.10
_HOVER_M = 0.08
_CUBE_M = 0.04


def stack_cube(arm: Arm) -> Motion:
    """See the module."""
    red, green = arm.env.cubeA, arm.env.cubeB

    def over_green(height: float) -> Position:
        return above(arm.position_of(green), height)

    while True:
        yield from pick_up_cube(arm, red, neighbour=green)
        if not arm.is_grasping(red):
            continue
        yield from arm.lift(red, _CARRY_HEIGHT_M)
        yield from arm.carry(red, lambda: over_green(_HOVER_M), tolerance=0.008)
        yield from arm.carry(red, lambda: over_green(_CUBE_M + 0.0005), tolerance=0.003, speed=0.4, max_steps=15)
        yield from arm.hold(OPEN, 3)
        yield from arm.move(lambda: above(arm.position, 0.05), OPEN, tolerance=0.01, max_steps=3)
        while _is_on(arm, red, green):
            yield from arm.hold(OPEN, 1)


def _is_on(arm: Arm, upper: object, lower: object) -> bool:
    offset = arm.position_of(upper) - arm.position_of(lower)
    return bool(np.linalg.norm(offset[:2]) < _CUBE_M / 2 and offset[2] > 0.9 * _CUBE_M)
