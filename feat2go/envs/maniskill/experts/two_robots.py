"""Tasks of two robots that face each other: the left one stands at negative y, the right one at positive y.

Each arm has a motion of its own; where one must wait, it looks at the scene and at the other arm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from feat2go.envs.maniskill.experts.arm import CLOSED, OPEN, Arm, Motion, Position, above
from feat2go.envs.maniskill.experts.grasp import pick_up_cube

_CUBE_M = 0.04
_LYING_M = _CUBE_M / 2
_CARRY_HEIGHT_M = 0.10
# How far an arm must be from where the other is to work, along y.
_OUT_OF_THE_WAY_M = 0.14
# The right arm hardly reaches the target of TwoRobotStackCube. It lays the cube down this much nearer, which is on it
# too, and leans its hand outward, so that the cube touches the table with an edge first.
_SHORT_OF_TARGET_M, _LEAN_RAD, _LEANING_M = 0.03, -0.55, 0.029
_ON_TARGET_M = 0.06
_LEFT_HOME_Y_M, _RIGHT_HOME_Y_M = -0.3, 0.3


def together(left: Motion, right: Motion) -> Motion:
    """Two motions as one of both arms, the left one's actions first."""
    for actions in zip(left, right, strict=False):
        yield np.concatenate(actions)


def two_robot_pick_cube(left: Arm, right: Arm) -> Motion:
    """The left arm lays the cube down in the middle, the right arm takes it to the goal."""
    cube = left.env.cube
    return together(_hand_over(left, cube), _take_over(right, left, cube, left.env.goal_site))


def two_robot_stack_cube(left: Arm, right: Arm) -> Motion:
    """The right arm lays the green cube on the target, the left arm stacks the blue cube on it."""
    blue, green, target = left.env.cubeA, left.env.cubeB, left.env.goal_region
    return together(_stack(left, right, blue, green, target), _lay(right, green, target))


def _hand_over(arm: Arm, cube: Any) -> Motion:
    while True:
        yield from pick_up_cube(arm, cube)
        if not arm.is_grasping(cube):
            yield from arm.hold(OPEN, 1)
            continue
        x = arm.position_of(cube)[0]
        yield from arm.carry(cube, lambda x=x: np.array([x, 0.0, 0.05]), tolerance=0.02)  # type: ignore[misc]
        yield from _put_down(arm, cube, lambda x=x: np.array([x, 0.0]))  # type: ignore[misc]
        yield from _leave(arm, _LEFT_HOME_Y_M)
        while arm.position_of(cube)[1] > -_OUT_OF_THE_WAY_M / 2:
            yield from arm.hold(OPEN, 1)


def _take_over(arm: Arm, other: Arm, cube: Any, goal: Any) -> Motion:
    while True:
        while arm.position_of(cube)[1] - other.position[1] < _OUT_OF_THE_WAY_M:
            x = arm.position_of(cube)[0]
            yield arm.command(np.array([x, 0.18, 0.15]), OPEN, arm.yaw_of(cube))
        yield from pick_up_cube(arm, cube)
        while arm.is_grasping(cube):
            yield from arm.carry(cube, lambda: arm.position_of(goal), tolerance=0.012)
            yield from arm.hold(CLOSED, 2)
        yield from arm.hold(OPEN, 1)


def _lay(arm: Arm, cube: Any, target: Any) -> Motion:
    def place() -> Position:
        x, y, _ = arm.position_of(target)
        return np.array([x, y + _SHORT_OF_TARGET_M])

    while True:
        yield from pick_up_cube(arm, cube)
        if not arm.is_grasping(cube):
            yield from arm.hold(OPEN, 1)
            continue
        yield from arm.lift(cube, _CARRY_HEIGHT_M)
        arm.lean = _LEAN_RAD
        yield from arm.carry(cube, lambda: np.array([*place(), 0.08]), tolerance=0.008)
        yield from _put_down(arm, cube, place, _LEANING_M)
        yield from arm.move(lambda: above(arm.position, 0.06), OPEN, tolerance=0.01, max_steps=3)
        arm.lean = 0.0
        yield from _leave(arm, _RIGHT_HOME_Y_M)
        while _is_on_target(arm, cube, target):
            yield from arm.hold(OPEN, 1)


def _stack(arm: Arm, other: Arm, cube: Any, base: Any, target: Any) -> Motion:
    def over_base(height: float) -> Position:
        return above(arm.position_of(base), height)

    while True:
        yield from pick_up_cube(arm, cube)
        if not arm.is_grasping(cube):
            yield from arm.hold(OPEN, 1)
            continue
        x = arm.position_of(cube)[0]
        waiting = np.array([x, -0.3, 0.13])
        while not _is_free(arm, other, base, target):
            yield arm.command(arm.position + waiting - arm.position_of(cube), CLOSED)
        yield from arm.carry(cube, lambda: over_base(2 * _CUBE_M), tolerance=0.006)
        yield from arm.carry(cube, lambda: over_base(_CUBE_M + 0.0005), tolerance=0.003, speed=0.4, max_steps=15)
        yield from arm.hold(OPEN, 3)
        yield from arm.move(lambda: above(arm.position, 0.05), OPEN, tolerance=0.01, max_steps=3)
        while np.linalg.norm(arm.position_of(cube) - over_base(_CUBE_M)) < _CUBE_M / 2:
            yield from arm.hold(OPEN, 1)


def _put_down(arm: Arm, cube: Any, place: Callable[[], Position], height: float = _LYING_M + 0.0005) -> Motion:
    """Lower a grasped cube to ``height`` above the table and let go. ``place`` gives (x, y)."""
    yield from arm.carry(cube, lambda: np.array([*place(), height]), tolerance=0.004, speed=0.4, max_steps=12)
    yield from arm.hold(OPEN, 2)


def _leave(arm: Arm, y: float) -> Motion:
    """Up, then back to one's own side."""
    begin = arm.position
    yield from arm.move(lambda: above(begin, 0.1), OPEN, tolerance=0.03, max_steps=4)
    yield from arm.move(lambda: np.array([begin[0], y, 0.2]), OPEN, tolerance=0.05, max_steps=10)


def _is_on_target(arm: Arm, cube: Any, target: Any) -> bool:
    position = arm.position_of(cube)
    distance = np.linalg.norm((position - arm.position_of(target))[:2])
    return bool(distance < _ON_TARGET_M and position[2] < 1.5 * _LYING_M)


def _is_free(arm: Arm, other: Arm, base: Any, target: Any) -> bool:
    """The base lies on the target, and the other arm is away from it."""
    is_away = abs(other.position[1] - arm.position_of(base)[1]) > _OUT_OF_THE_WAY_M
    return _is_on_target(arm, base, target) and not other.is_grasping(base) and is_away
