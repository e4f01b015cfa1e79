"""The scripted expert: a function of the present state alone, so that it recovers from any mistake."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Floats
from feat2go.envs.tabletop.dynamics import FINGER_STEP_M, STEP_M, TURN_RAD
from feat2go.envs.tabletop.task import succeeded
from feat2go.envs.tabletop.world import MAX_OPENING, NOTHING, World

# Heights of the finger tips, in metres, relative to the object.
HOVER_ABOVE_TOP_M = 0.035
GRASP_ABOVE_BOTTOM_M = 0.012
GRASP_BELOW_TOP_M = 0.03
# Heights of the held object's lower face, in metres: above the table while it travels, above the receptacle at the end.
TRAVEL_M = 0.075
TRAVEL_AT_LEAST_M = 0.05
LOWER_TO_M = 0.004
RELEASE_BELOW_M = 0.025
# How far off the gripper may be, in metres and radians: to start going down, to go on, and to release.
START_WITHIN_M = 0.012
STAY_WITHIN_M = 0.02
TURNED_WITHIN_RAD = 0.25
RELEASE_WITHIN_M = 0.025


def expert_actions(world: World) -> Floats:
    """What the expert does now, without noise.

    Above the named object: turn to fit, open, go down, close. Holding it: up, across, down, let go. Holding another
    object: let go. Done: stay.

    Returns:
        (N, 7) in [-1, 1].
    """
    let_go, stay = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), np.zeros(7)
    holds_named = world.held == 0
    holds_other = ~holds_named & (world.held != NOTHING)
    actions = np.where(holds_named[:, None], _place(world), _pick(world))
    actions = np.where(holds_other[:, None], let_go, actions)
    return np.where(succeeded(world)[:, None], stay, actions)


def _pick(world: World) -> Floats:
    objects = world.objects
    offset = objects.position[:, 0] - world.gripper
    turn = _turn_to_fit(objects.yaw[:, 0] - world.yaw, objects.symmetry[:, 0])
    far = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2)
    depth = np.maximum(objects.bottom[:, 0] + GRASP_ABOVE_BOTTOM_M, objects.top[:, 0] - GRASP_BELOW_TOP_M)
    is_low = world.gripper[:, 2] < objects.top[:, 0]
    is_aligned = (far < np.where(is_low, STAY_WITHIN_M, START_WITHIN_M)) & (np.abs(turn) < TURNED_WITHIN_RAD)
    close = is_aligned & (world.gripper[:, 2] < depth + GRASP_ABOVE_BOTTOM_M)
    descend = is_aligned & (close | (world.opening > MAX_OPENING - 0.5 * FINGER_STEP_M))
    height = np.where(descend, depth, objects.top[:, 0] + HOVER_ABOVE_TOP_M)
    # Low and beside the object: rise before moving, or the fingers would knock it.
    is_blocked = is_low & ~is_aligned
    actions = np.zeros((len(far), 7))
    actions[:, :2] = np.where(is_blocked[:, None], 0.0, _towards(offset[:, :2], STEP_M))
    actions[:, 2] = np.clip((height - world.gripper[:, 2]) / STEP_M, -1.0, 1.0)
    actions[:, 5] = np.clip(turn / TURN_RAD, -1.0, 1.0)
    actions[:, 6] = np.where(close, -1.0, 1.0)
    return actions


def _place(world: World) -> Floats:
    bottom = world.objects.bottom[:, 0]
    offset = world.receptacles.position[:, 0, :2] - world.objects.position[:, 0, :2]
    surface = world.receptacles.top[:, 0]
    is_above = (offset**2).sum(axis=1) < RELEASE_WITHIN_M**2
    height = np.where(is_above, surface + LOWER_TO_M, TRAVEL_M)
    release = is_above & (bottom < surface + RELEASE_BELOW_M)
    actions = np.zeros((len(bottom), 7))
    actions[:, :2] = np.where(((bottom > TRAVEL_AT_LEAST_M) | is_above)[:, None], _towards(offset, STEP_M), 0.0)
    actions[:, 2] = np.clip((height - bottom) / STEP_M, -1.0, 1.0)
    actions[:, 6] = np.where(release, 1.0, -1.0)
    return actions


def _towards(offset: Floats, step: float) -> Floats:
    """(N, 2) action along the straight line, at full speed until it is close."""
    scaled = offset / step
    action: Floats = scaled / np.maximum(np.abs(scaled).max(axis=1, keepdims=True), 1.0)
    return action


def _turn_to_fit(difference: Floats, symmetry: Floats) -> Floats:
    """The smallest turn in radians that aligns the fingers with the sides of an object; 0 for round ones."""
    period = np.where(symmetry > 0.0, symmetry, 1.0)
    return np.where(symmetry > 0.0, difference - period * np.round(difference / period), 0.0)
