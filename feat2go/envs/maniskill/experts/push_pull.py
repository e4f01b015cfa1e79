"""PushCube and PullCube: go to one side of the cube, lower the closed hand, slide the cube to the target."""

from __future__ import annotations

import numpy as np

from feat2go.envs.maniskill.experts.arm import CLOSED, Arm, Motion, Position

_CLEARANCE_M = 0.07
_HOVER_M = 0.15
_SLIDE_HEIGHT_M = 0.025
_REACH_M = 0.06
_OFF_TRACK_M = 0.03


def push_cube(arm: Arm) -> Motion:
    """From the robot's side, forward."""
    return _slide_cube(arm, side=-1)


def pull_cube(arm: Arm) -> Motion:
    """From the far side, back."""
    return _slide_cube(arm, side=1)


def _slide_cube(arm: Arm, side: int) -> Motion:
    cube, target = arm.env.obj, arm.env.goal_region

    def beside(height: float) -> Position:
        x, y, _ = arm.position_of(cube)
        return np.array([x + side * _CLEARANCE_M, y, height])

    while True:
        yield from arm.move(lambda: beside(_HOVER_M), CLOSED, tolerance=0.02)
        yield from arm.move(lambda: beside(_SLIDE_HEIGHT_M), CLOSED, tolerance=0.012)
        is_on_track = True
        while is_on_track:
            x, y, _ = arm.position_of(cube)
            ahead = np.clip(arm.position_of(target)[0] - x, -_REACH_M, _REACH_M)
            yield arm.command(np.array([arm.position[0] + ahead, y, _SLIDE_HEIGHT_M]), CLOSED, speed=0.6)
            offset = arm.position - arm.position_of(cube)
            is_on_track = abs(offset[1]) < _OFF_TRACK_M and offset[0] * side > 0
        yield from arm.move(lambda: arm.position * [1, 1, 0] + [0, 0, _HOVER_M], CLOSED, tolerance=0.02)
