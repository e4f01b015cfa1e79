"""When the task counts as done, and how far it has come."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Bools, Ints
from feat2go.envs.tabletop.dynamics import TOUCH_M
from feat2go.envs.tabletop.geometry import footprint_distance
from feat2go.envs.tabletop.world import World

MILESTONES = ("reach", "grasp", "lift", "carry", "place")

NEAR_M = 0.05
LIFTED_M = 0.03


def succeeded(world: World) -> Bools:
    """Bool (N,): the named object rests on the named receptacle, and nothing holds it."""
    is_resting = np.abs(world.objects.bottom[:, 0] - world.receptacles.top[:, 0]) < TOUCH_M
    done: Bools = is_over_receptacle(world) & is_resting & (world.held != 0)
    return done


def is_over_receptacle(world: World) -> Bools:
    """Bool (N,): the centre of the named object is above the named receptacle, at any height."""
    centre = world.objects.position[:, 0]
    distance, _, _ = footprint_distance(world.receptacles[:, 0], centre[:, 0], centre[:, 1])
    return distance < 0.0


def milestone(world: World) -> Ints:
    """int64 (N,): the furthest of ``MILESTONES`` that holds now, counted from 1; 0 for none.

    reach: the gripper is within 5 cm of the named object. grasp: holds it. lift: holds it 3 cm above the table. carry:
    holds it, lifted, above the named receptacle. place: success.
    """
    offset = world.objects.position[:, 0] - world.gripper
    near = (offset * offset).sum(axis=1) < NEAR_M**2
    grasped = world.held == 0
    lifted = grasped & (world.objects.bottom[:, 0] > LIFTED_M)
    carried = lifted & is_over_receptacle(world)
    reached = np.zeros(len(near), dtype=np.int64)
    for count, holds in enumerate((near, grasped, lifted, carried, succeeded(world)), start=1):
        reached[holds] = count
    return reached
