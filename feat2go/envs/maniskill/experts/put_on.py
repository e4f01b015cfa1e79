"""PutOn: put the named object on the named receptacle, whatever they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion, Position, above

_HOVER_M = 0.08
_CARRY_CLEARANCE_M = 0.08
_RELEASE_M = 0.003
_ON_TARGET_M = 0.045
# Between fingertips and table, however flat the object.
_LOWEST_GRASP_M = 0.011
# An object that has moved so far under way must be approached anew.
_JUMP_M = 0.04


def put_on(arm: Arm) -> Motion:
    """See the module."""
    thing, model = arm.env.thing("object", arm.row)
    target, target_model = arm.env.thing("receptacle", arm.row)
    rest_height = target_model.upper[2] - model.lower[2]

    def over_target(height: float) -> Position:
        return above(arm.position_of(target), rest_height + height)

    while True:
        yield from _pick_up(arm, thing, model)
        if not arm.is_grasping(thing):
            yield from arm.move(lambda: above(arm.position, 0.05), OPEN, tolerance=0.01, max_steps=2)
            continue
        yield from arm.lift(thing, float(over_target(_CARRY_CLEARANCE_M)[2]))
        yield from arm.carry(thing, lambda: over_target(_CARRY_CLEARANCE_M), tolerance=0.01)
        yield from arm.carry(thing, lambda: over_target(_RELEASE_M), tolerance=0.006, speed=0.4, max_steps=10)
        yield from arm.hold(OPEN, 2)
        yield from arm.move(lambda: above(arm.position, 0.08), OPEN, tolerance=0.01, max_steps=3)
        while _is_on(arm, thing, target):
            yield from arm.hold(OPEN, 1)


def _pick_up(arm: Arm, thing: Any, model: Any) -> Motion:
    offset, long_side = model.grasp
    sizes = model.upper - model.lower
    # What is as wide as long can be taken from either side.
    sides = [0.0, np.pi / 2] if abs(sizes[0] - sizes[1]) < 0.2 * sizes[:2].max() else [long_side]

    def yaw() -> float:
        candidates = arm.yaw_of(thing) + np.array(sides)
        return float(candidates[np.abs(np.cos(candidates - arm.yaw)).argmax()])

    def grasp() -> Position:
        turn = arm.yaw_of(thing)
        x = offset[0] * np.cos(turn) - offset[1] * np.sin(turn)
        y = offset[0] * np.sin(turn) + offset[1] * np.cos(turn)
        at = arm.position_of(thing)
        lowest = arm.env.assets.table_height + _LOWEST_GRASP_M
        return np.array([at[0] + x, at[1] + y, max(at[2] + offset[2], lowest)])

    yield from arm.move(lambda: above(grasp(), _HOVER_M), OPEN, tolerance=0.02, yaw=yaw)
    begin = arm.position_of(thing)
    for action in arm.move(grasp, OPEN, tolerance=0.008, yaw=yaw, max_steps=15):
        if np.linalg.norm(arm.position_of(thing) - begin) > _JUMP_M:
            return
        yield action
    yield from arm.grasp(thing)


def _is_on(arm: Arm, thing: Any, target: Any) -> bool:
    offset = arm.position_of(thing) - arm.position_of(target)
    return bool(np.linalg.norm(offset[:2]) < _ON_TARGET_M and offset[2] > 0)
