"""When the task counts as done, and how far it has come."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Bools, Ints
from feat2go.envs.tabletop.dynamics import TOUCH_M
from feat2go.envs.tabletop.geometry import Footprints
from feat2go.envs.tabletop.world import World

MILESTONES = ("reach", "grasp", "lift", "carry", "place")

NEAR_M = 0.05
LIFTED_M = 0.03


def succeeded(world: World) -> Bools:
    """Bool (N,): the named object rests on the named receptacle, and nothing holds it."""
    return _placed(world, is_over_receptacle(world))


def is_over_receptacle(world: World) -> Bools:
    """Bool (N,): the centre of the named object is above the named receptacle, at any height."""
    receptacle, centre = Footprints.of(world.receptacles[:, 0]), world.objects.position[:, 0]
    return receptacle.contain(*receptacle.into_frame(centre[:, 0], centre[:, 1]))


def milestone(world: World) -> Ints:
    """int64 (N,): the furthest of ``MILESTONES`` that holds now, counted from 1; 0 for none.

    reach: the gripper is within 5 cm of the named object. grasp: holds it. lift: holds it 3 cm above the table. carry:
    holds it, lifted, above the named receptacle. place: success.
    """
    offset = world.objects.position[:, 0] - world.gripper
    near = (offset * offset).sum(axis=1) < NEAR_M**2
    grasped = world.held == 0
    lifted = grasped & (world.objects.bottom[:, 0] > LIFTED_M)
    is_over = is_over_receptacle(world)
    reached = np.zeros(len(near), dtype=np.int64)
    for count, holds in enumerate((near, grasped, lifted, lifted & is_over, _placed(world, is_over)), start=1):
        reached[holds] = count
    return reached


def _placed(world: World, is_over: Bools) -> Bools:
    is_resting = np.abs(world.objects.bottom[:, 0] - world.receptacles.top[:, 0]) < TOUCH_M
    placed: Bools = is_over & is_resting & (world.held != 0)
    return placed
