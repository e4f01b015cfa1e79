"""PokeCube: take the peg and push the cube onto the target with its head."""

from __future__ import annotations

from typing import Any

import numpy as np

from feat2go.envs.maniskill.experts.arm import CLOSED, OPEN, Arm, Motion, Position, above

_HOVER_M = 0.08
# Behind the peg's centre, so that the hand stays clear of the cube.
_GRASP_BEHIND_M = 0.05
_LIFT_M = 0.006
_CLEARANCE_M = 0.02
_REACH_M = 0.05
_OFF_TRACK_M = 0.03
_ON_TARGET_M = 0.025


def poke_cube(arm: Arm) -> Motion:
    """See the module."""
    cube, peg, target = arm.env.cube, arm.env.peg, arm.env.goal_region
    height = arm.env.peg_half_width + _LIFT_M
    length = arm.env.peg_half_length + arm.env.cube_half_size

    def behind_cube() -> Position:
        x, y, _ = arm.position_of(cube)
        return np.array([x - length - _CLEARANCE_M, y, height])

    while True:
        yield from _pick_up_peg(arm, peg)
        if not arm.is_grasping(peg):
            yield from arm.move(lambda: above(arm.position, 0.05), OPEN, tolerance=0.01, max_steps=2)
            continue
        yield from arm.carry(peg, behind_cube, tolerance=0.008)
        while _is_on_track(arm, peg, cube):
            x, y, _ = arm.position_of(cube)
            missing = arm.position_of(target)[0] - x
            if missing < _ON_TARGET_M:
                yield from arm.hold(CLOSED, 1)
                continue
            aim = np.array([arm.position_of(peg)[0] + min(missing, _REACH_M), y, height])
            yield arm.command(arm.position + aim - arm.position_of(peg), CLOSED, speed=0.6)


def _pick_up_peg(arm: Arm, peg: Any) -> Motion:
    """By its sides, behind its middle."""

    def grasp() -> Position:
        return arm.position_of(peg) - _GRASP_BEHIND_M * arm.direction_of(peg)

    def yaw() -> float:
        return arm.yaw_of(peg)

    yield from arm.move(lambda: above(grasp(), _HOVER_M), OPEN, tolerance=0.02, yaw=yaw)
    yield from arm.move(grasp, OPEN, tolerance=0.008, yaw=yaw)
    yield from arm.grasp(peg)


def _is_on_track(arm: Arm, peg: Any, cube: Any) -> bool:
    """The peg is held, behind the cube and in line with it."""
    offset = arm.position_of(cube) - arm.position_of(peg)
    return arm.is_grasping(peg) and offset[0] > 0 and abs(offset[1]) < _OFF_TRACK_M
