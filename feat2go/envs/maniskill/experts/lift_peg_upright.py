"""LiftPegUpright: stand the peg on its end."""

from __future__ import annotations

from typing import Any

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion, Position, above

_HOVER_M = 0.08
# The hand takes the half that will be the upper one.
_GRASP_AHEAD_M = 0.05
# Nearer to the robot, the wrist reaches its limit before the hand points forward.
_NEAREST_M = 0.23
# So high that the lower end stays clear of the table while the peg turns and sinks a little; else it slips.
_LIFT_M = 0.045
# The wrist turns the rest of the way on the way down: it reaches further there.
_NEARLY_UPRIGHT_RAD = 0.25
_UPRIGHT_RAD = 0.06


def lift_peg_upright(arm: Arm) -> Motion:
    """See the module."""
    peg = arm.env.peg
    standing = arm.env.peg_half_length

    def place(height: float) -> Position:
        x, y, _ = arm.position_of(peg)
        return np.array([max(x, _NEAREST_M), y, standing + height])

    def tilt() -> float:
        """From the vertical to the end that the hand is at, in rad; negative where it has been pitched too far."""
        end = arm.direction_of(peg)
        if end @ (arm.position - arm.position_of(peg)) < 0:
            end = -end
        return float(np.arctan2(end[0] * np.cos(arm.yaw) + end[1] * np.sin(arm.yaw), end[2]))

    while True:
        arm.pitch = 0.0
        yield from _pick_up_peg(arm, peg)
        if not arm.is_grasping(peg):
            yield from arm.move(lambda: above(arm.position, 0.05), OPEN, tolerance=0.01, max_steps=2)
            continue
        yield from arm.lift(peg, standing + _LIFT_M)
        yield from arm.carry(
            peg, lambda: place(_LIFT_M), 0.02, speed=0.3, max_steps=70, tilt=tilt, tilt_tolerance=_NEARLY_UPRIGHT_RAD
        )
        yield from arm.carry(peg, lambda: place(0), tolerance=0.001, speed=0.3, max_steps=30, tilt=tilt)
        yield from arm.hold(OPEN, 2)
        while abs(tilt()) < _UPRIGHT_RAD:
            yield from arm.hold(OPEN, 1)


def _pick_up_peg(arm: Arm, peg: Any) -> Motion:
    """By its sides, ahead of its middle."""

    def yaw() -> float:
        return _yaw_of_axis(arm, peg)

    def grasp() -> Position:
        ahead = np.array([np.cos(arm.yaw), np.sin(arm.yaw), 0])
        return arm.position_of(peg) + _GRASP_AHEAD_M * ahead

    yield from arm.move(lambda: above(grasp(), _HOVER_M), OPEN, tolerance=0.02, yaw=yaw)
    yield from arm.move(grasp, OPEN, tolerance=0.008, yaw=yaw)
    yield from arm.grasp(peg)


def _yaw_of_axis(arm: Arm, peg: Any) -> float:
    """Of the peg's long axis, whichever side it lies on."""
    x, y, _ = arm.direction_of(peg)
    return float(np.arctan2(y, x))
