"""PickCube: grasp the cube and hold it at the goal."""

from __future__ import annotations

from feat2go.envs.maniskill.experts.arm import CLOSED, Arm, Motion
from feat2go.envs.maniskill.experts.grasp import pick_up_cube

_AT_GOAL_M = 0.012


def pick_cube(arm: Arm) -> Motion:
    """See the module."""
    cube, goal = arm.env.cube, arm.env.goal_site
    while True:
        yield from pick_up_cube(arm, cube)
        while arm.is_grasping(cube):
            yield from arm.carry(cube, lambda: arm.position_of(goal), _AT_GOAL_M)
            yield from arm.hold(CLOSED, 2)
        yield from arm.hold(CLOSED, 1)
