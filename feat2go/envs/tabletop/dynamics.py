"""What an action does: a quasi-static model of a two-finger gripper above a table.

Free objects slide when a finger, the held object, another object or the edge of a receptacle presses on them; they fall
when nothing is under their centre. They never tip or turn on their own.
"""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Bools, Floats
from feat2go.envs.tabletop.geometry import footprint_distance, rotate, width_along
from feat2go.envs.tabletop.world import MAX_OPENING, NOTHING, Bodies, World

# Per action of size 1: metres, radians, and metres that the fingers open or close.
STEP_M = 0.05
TURN_RAD = 0.3
FINGER_STEP_M = 0.05
NUM_SUBSTEPS = 3
FALL_M = 0.05  # per substep

TOUCH_M = 1e-6  # Nearer than this is touching.

FINGER_RADIUS = 0.008
MAX_GRASP = 0.085
GRASP_DEPTH = 0.008  # The tips must be at least this far below an object's top.

GRIPPER_LOW = np.array([-0.22, -0.25, 0.004])
GRIPPER_HIGH = np.array([0.22, 0.25, 0.20])
TABLE_EDGE = np.array([0.20, 0.23])  # Objects stay in view.


def advance(world: World, actions: Floats) -> None:
    """Carry out one action in every environment, in place.

    Args:
        world: N environments.
        actions: (N, 7) in [-1, 1]: dx, dy, dz, roll, pitch, yaw, gripper. Roll and pitch have no effect. Gripper > 0
            opens, < 0 closes, 0 leaves the fingers as they are.
    """
    for _ in range(NUM_SUBSTEPS):
        _move_gripper(world, actions)
        _move_fingers(world, actions[:, 6])
        _carry(world)
        pushed = _push_with_fingers(world)
        _separate_objects(world, pushed)
        _push_off_receptacle_edges(world)
        _settle(world)


def support_height(world: World, x: Floats, y: Floats) -> Floats:
    """Height in metres of the receptacle or table under points (N, M)."""
    distance, _, _ = footprint_distance(world.receptacles[:, None], x[..., None], y[..., None])
    height: Floats = np.where(distance < 0.0, world.receptacles.top[:, None], 0.0).max(axis=-1)
    return height


def is_held(world: World) -> Bools:
    """Bool (N, K)."""
    held: Bools = world.held[:, None] == np.arange(world.objects.yaw.shape[1])
    return held


def _move_gripper(world: World, actions: Floats) -> None:
    world.gripper += actions[:, :3] * (STEP_M / NUM_SUBSTEPS)
    np.clip(world.gripper, GRIPPER_LOW, GRIPPER_HIGH, out=world.gripper)
    world.yaw += actions[:, 5] * (TURN_RAD / NUM_SUBSTEPS)
    world.yaw -= 2 * np.pi * np.round(world.yaw / (2 * np.pi))
    np.maximum(world.gripper[:, 2], _lowest_gripper(world), out=world.gripper[:, 2])


def _lowest_gripper(world: World) -> Floats:
    """(N,): where the tips, or what they hold, rest on what is below."""
    tips = GRIPPER_LOW[2] + support_height(world, world.gripper[:, :1], world.gripper[:, 1:2])[:, 0]
    x, y = _held_position(world)
    half = world.objects.half[np.arange(len(x)), world.held, 2]
    held = support_height(world, x[:, None], y[:, None])[:, 0] + half - world.grip[:, 2]
    lowest: Floats = np.where(world.held == NOTHING, tips, np.maximum(tips, held))
    return lowest


def _held_position(world: World) -> tuple[Floats, Floats]:
    x, y = rotate(world.grip[:, 0], world.grip[:, 1], world.yaw)
    return world.gripper[:, 0] + x, world.gripper[:, 1] + y


def _move_fingers(world: World, command: Floats) -> None:
    """Open or close by the sign of the command: closing on an object grasps it, opening lets go."""
    world.held[command > 0.0] = NOTHING
    before = world.opening.copy()
    moved = np.clip(before + np.sign(command) * (FINGER_STEP_M / NUM_SUBSTEPS), 0.0, MAX_OPENING)
    world.opening[:] = np.where(world.held == NOTHING, moved, before)
    _grasp(world, before)


def _grasp(world: World, opening_before: Floats) -> None:
    """Hold an object if the fingers met its sides in this substep."""
    objects = world.objects
    offset = objects.position - world.gripper[:, None]
    # In the gripper's frame: y is the axis along which the fingers close.
    x, y = rotate(offset[..., 0], offset[..., 1], -world.yaw[:, None])
    width = width_along(objects, world.yaw[:, None] + np.pi / 2)
    grasped = (
        (world.opening[:, None] <= width)
        & (width < opening_before[:, None])
        & (width <= MAX_GRASP)
        & (np.abs(x) < 0.5 * width_along(objects, world.yaw[:, None]))
        & (np.abs(y) < 0.5 * width)
        & (world.gripper[:, 2:] < objects.top - GRASP_DEPTH)
        & (world.gripper[:, 2:] > objects.bottom - GRASP_DEPTH)
    )
    rows = np.flatnonzero(grasped.any(axis=1))
    chosen = grasped[rows].argmax(axis=1)
    world.held[rows] = chosen
    world.opening[rows] = width[rows, chosen]
    world.grip[rows, 0] = x[rows, chosen]
    world.grip[rows, 1] = 0.0  # The fingers centre the object between them.
    world.grip[rows, 2] = offset[rows, chosen, 2]
    world.grip_yaw[rows] = objects.yaw[rows, chosen] - world.yaw[rows]


def _carry(world: World) -> None:
    rows = np.flatnonzero(world.held != NOTHING)
    held = world.held[rows]
    x, y = _held_position(world)
    world.objects.position[rows, held, 0] = x[rows]
    world.objects.position[rows, held, 1] = y[rows]
    world.objects.position[rows, held, 2] = world.gripper[rows, 2] + world.grip[rows, 2]
    world.objects.yaw[rows, held] = world.yaw[rows] + world.grip_yaw[rows]


def _push_with_fingers(world: World) -> Bools:
    """Free objects give way to the fingers. Bool (N, K): which of them did."""
    objects = world.objects
    pushable = ~is_held(world) & (world.gripper[:, 2:] < objects.top)
    pushed = np.zeros_like(pushable)
    if not pushable.any():
        return pushed
    for side in (-0.5, 0.5):
        x, y = rotate(np.zeros_like(world.yaw), side * world.opening + np.copysign(FINGER_RADIUS, side), world.yaw)
        distance, out_x, out_y = footprint_distance(
            objects, (world.gripper[:, 0] + x)[:, None], (world.gripper[:, 1] + y)[:, None]
        )
        overlap = np.where(pushable, np.maximum(FINGER_RADIUS - distance, 0.0), 0.0)
        objects.position[..., 0] -= out_x * overlap
        objects.position[..., 1] -= out_y * overlap
        pushed |= overlap > 0.0
    return pushed


def _separate_objects(world: World, pushed: Bools) -> None:
    """Objects that overlap move apart, each by half of the overlap, unless one is held or has a finger behind it."""
    objects = world.objects
    if objects.yaw.shape[1] == 1:
        return
    radius = _radius(objects)
    delta_x = objects.position[:, :, None, 0] - objects.position[:, None, :, 0]
    delta_y = objects.position[:, :, None, 1] - objects.position[:, None, :, 1]
    distance = np.sqrt(delta_x * delta_x + delta_y * delta_y)
    overlap = radius[:, :, None] + radius[:, None, :] - distance
    bottom, top = objects.bottom, objects.top
    same_height = (bottom[:, :, None] < top[:, None]) & (bottom[:, None] < top[:, :, None])
    held = is_held(world)
    firm = held | pushed
    share = (0.5 + 0.5 * firm[:, None, :] - 0.5 * firm[:, :, None]) * ~held[:, :, None]
    push = np.where(same_height & (overlap > 0.0) & (distance > 0.0), share * overlap / np.maximum(distance, 1e-9), 0.0)
    objects.position[..., 0] += (push * delta_x).sum(axis=-1)
    objects.position[..., 1] += (push * delta_y).sum(axis=-1)


def _push_off_receptacle_edges(world: World) -> None:
    """What is lower than a receptacle's surface stays beside it: an object gets there from above, or not at all."""
    objects, receptacles = world.objects, world.receptacles
    distance, out_x, out_y = footprint_distance(
        receptacles[:, None], objects.position[..., None, 0], objects.position[..., None, 1]
    )
    is_low = objects.bottom[..., None] < receptacles.top[:, None] - TOUCH_M
    overlap = np.maximum(_radius(objects)[..., None] - distance, 0.0) * (is_low & ~is_held(world)[..., None])
    objects.position[..., 0] += (out_x * overlap).sum(axis=-1)
    objects.position[..., 1] += (out_y * overlap).sum(axis=-1)
    np.clip(objects.position[..., :2], -TABLE_EDGE, TABLE_EDGE, out=objects.position[..., :2])


def _radius(objects: Bodies) -> Floats:
    return 0.5 * (objects.half[..., 0] + objects.half[..., 1])


def _settle(world: World) -> None:
    """Free objects fall, up to what is under their centre."""
    objects = world.objects
    ground = support_height(world, objects.position[..., 0], objects.position[..., 1]) + objects.half[..., 2]
    fallen = np.maximum(objects.position[..., 2] - FALL_M, ground)
    objects.position[..., 2] = np.where(is_held(world), objects.position[..., 2], fallen)
