"""PlaceSphere: put the ball in the bin."""

from __future__ import annotations

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Arm, Motion, Position, above
from feat2go.envs.maniskill.experts.grasp import pick_up_ball

_CARRY_HEIGHT_M = 0.10
_HOVER_M = 0.05


def place_sphere(arm: Arm) -> Motion:
    """See the module."""
    ball, bin_ = arm.env.obj, arm.env.bin
    rest_height = arm.env.radius + arm.env.block_half_size[0]

    def over_rest(height: float) -> Position:
        return above(arm.position_of(bin_), rest_height + height)

    while True:
        yield from pick_up_ball(arm, ball)
        if not arm.is_grasping(ball):
            continue
        yield from arm.lift(ball, _CARRY_HEIGHT_M)
        yield from arm.carry(ball, lambda: over_rest(_HOVER_M), tolerance=0.004)
        yield from arm.carry(ball, lambda: over_rest(0.001), tolerance=0.004, speed=0.25, max_steps=20)
        yield from arm.hold(OPEN, 3)
        yield from arm.move(lambda: above(arm.position, 0.05), OPEN, tolerance=0.01, max_steps=3)
        while np.linalg.norm((arm.position_of(ball) - over_rest(0))[:2]) < 0.01:
            yield from arm.hold(OPEN, 1)
