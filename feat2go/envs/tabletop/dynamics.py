"""What an action does: a quasi-static model of a two-finger gripper above a table.

Free objects slide when a finger, the held object, another object or the edge of a receptacle presses on them; they fall
when nothing is under their centre. They never tip or turn on their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Bools, Floats
from feat2go.envs.tabletop.geometry import Footprints, rotate, width_along
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
    receptacles = _Receptacles.of(world)
    # Of free objects only, which do not turn.
    objects = Footprints.of(world.objects)
    for _ in range(NUM_SUBSTEPS):
        _move_gripper(world, actions, receptacles)
        _move_fingers(world, actions[:, 6])
        _carry(world)
        held = is_held(world)
        pushed = _push_with_fingers(world, objects, held)
        _separate_objects(world, held, pushed)
        _push_off_receptacle_edges(world, receptacles, held)
        _settle(world, receptacles, held)


@dataclass(frozen=True)
class _Receptacles:
    """What objects and the gripper can be on; receptacles never move.

    Attributes:
        footprints: (N, 1, R), beside points (N, M, 1).
        top: (N, 1, R), heights in metres.
    """

    footprints: Footprints
    top: Floats

    @classmethod
    def of(cls, world: World) -> _Receptacles:
        return cls(Footprints.of(world.receptacles[:, None]), world.receptacles.top[:, None])

    def support_height(self, x: Floats, y: Floats) -> Floats:
        """Height in metres of the receptacle or table under points (N, M)."""
        is_above = self.footprints.contain(*self.footprints.into_frame(x[..., None], y[..., None]))
        height: Floats = np.where(is_above, self.top, 0.0).max(axis=-1)
        return height


def is_held(world: World) -> Bools:
    """Bool (N, K)."""
    held: Bools = world.held[:, None] == np.arange(world.objects.yaw.shape[1])
    return held


def _move_gripper(world: World, actions: Floats, receptacles: _Receptacles) -> None:
    world.gripper += actions[:, :3] * (STEP_M / NUM_SUBSTEPS)
    _clip(world.gripper, GRIPPER_LOW, GRIPPER_HIGH)
    world.yaw += actions[:, 5] * (TURN_RAD / NUM_SUBSTEPS)
    world.yaw -= 2 * np.pi * np.round(world.yaw / (2 * np.pi))
    np.maximum(world.gripper[:, 2], _lowest_gripper(world, receptacles), out=world.gripper[:, 2])


def _clip(values: Floats, low: Floats | float, high: Floats | float) -> None:
    """In place; several times as fast as ``np.clip`` for a few numbers."""
    np.maximum(values, low, out=values)
    np.minimum(values, high, out=values)


def _lowest_gripper(world: World, receptacles: _Receptacles) -> Floats:
    """(N,): where the tips, or what they hold, rest on what is below."""
    tips: Floats = GRIPPER_LOW[2] + receptacles.support_height(world.gripper[:, :1], world.gripper[:, 1:2])[:, 0]
    rows = np.flatnonzero(world.held != NOTHING)
    if not len(rows):
        return tips
    x, y = _held_position(world)
    half = world.objects.half[np.arange(len(x)), world.held, 2]
    held = receptacles.support_height(x[:, None], y[:, None])[:, 0] + half - world.grip[:, 2]
    tips[rows] = np.maximum(tips, held)[rows]
    return tips


def _held_position(world: World) -> tuple[Floats, Floats]:
    x, y = rotate(world.grip[:, 0], world.grip[:, 1], world.yaw)
    return world.gripper[:, 0] + x, world.gripper[:, 1] + y


def _move_fingers(world: World, command: Floats) -> None:
    """Open or close by the sign of the command: closing on an object grasps it, opening lets go."""
    world.held[command > 0.0] = NOTHING
    before = world.opening.copy()
    moved = before + np.sign(command) * (FINGER_STEP_M / NUM_SUBSTEPS)
    _clip(moved, 0.0, MAX_OPENING)
    world.opening[:] = np.where(world.held == NOTHING, moved, before)
    _grasp(world, before)


def _grasp(world: World, opening_before: Floats) -> None:
    """Hold an object if the fingers met its sides in this substep."""
    objects, height = world.objects, world.gripper[:, 2:]
    is_closing = (world.opening < opening_before)[:, None]
    is_between = is_closing & (height < objects.top - GRASP_DEPTH) & (height > objects.bottom - GRASP_DEPTH)
    if not is_between.any():
        return
    offset = objects.position - world.gripper[:, None]
    # In the gripper's frame: y is the axis along which the fingers close.
    x, y = rotate(offset[..., 0], offset[..., 1], -world.yaw[:, None])
    width = width_along(objects, world.yaw[:, None] + np.pi / 2)
    grasped = (
        is_between
        & (world.opening[:, None] <= width)
        & (width < opening_before[:, None])
        & (width <= MAX_GRASP)
        & (np.abs(x) < 0.5 * width_along(objects, world.yaw[:, None]))
        & (np.abs(y) < 0.5 * width)
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
    if not len(rows):
        return
    held = world.held[rows]
    x, y = _held_position(world)
    world.objects.position[rows, held, 0] = x[rows]
    world.objects.position[rows, held, 1] = y[rows]
    world.objects.position[rows, held, 2] = world.gripper[rows, 2] + world.grip[rows, 2]
    world.objects.yaw[rows, held] = world.yaw[rows] + world.grip_yaw[rows]


def _push_with_fingers(world: World, footprints: Footprints, held: Bools) -> Bools:
    """Free objects give way to the fingers. Bool (N, K): which of them did."""
    objects = world.objects
    pushable = ~held & (world.gripper[:, 2:] < objects.top)
    pushed = np.zeros_like(pushable)
    if not pushable.any():
        return pushed
    cosine, sine = np.cos(world.yaw), np.sin(world.yaw)
    for side in (-0.5, 0.5):
        reach = side * world.opening + math.copysign(FINGER_RADIUS, side)
        x, y = world.gripper[:, 0] - sine * reach, world.gripper[:, 1] + cosine * reach
        u, v = footprints.into_frame(x[:, None], y[:, None])
        overlap = np.where(pushable, np.maximum(FINGER_RADIUS - footprints.distance(u, v), 0.0), 0.0)
        is_pushed = overlap > 0.0
        if is_pushed.any():
            out_x, out_y = footprints.outward(u, v)
            objects.position[..., 0] -= out_x * overlap
            objects.position[..., 1] -= out_y * overlap
            pushed |= is_pushed
    return pushed


def _separate_objects(world: World, held: Bools, pushed: Bools) -> None:
    """Objects that overlap move apart, each by half of the overlap, unless one is held or has a finger behind it."""
    objects = world.objects
    if objects.yaw.shape[1] == 1:
        return
    radius = _radius(objects)
    delta_x = objects.position[:, :, None, 0] - objects.position[:, None, :, 0]
    delta_y = objects.position[:, :, None, 1] - objects.position[:, None, :, 1]
    distance = np.sqrt(delta_x * delta_x + delta_y * delta_y)
    overlap = radius[:, :, None] + radius[:, None, :] - distance
    # An object is in its own place, but does not push itself.
    is_near = (overlap > 0.0) & (distance > 0.0)
    if not is_near.any():
        return
    bottom, top = objects.bottom, objects.top
    same_height = (bottom[:, :, None] < top[:, None]) & (bottom[:, None] < top[:, :, None])
    firm = held | pushed
    share = (0.5 + 0.5 * firm[:, None, :] - 0.5 * firm[:, :, None]) * ~held[:, :, None]
    push = np.where(same_height & is_near, share * overlap / np.maximum(distance, 1e-9), 0.0)
    objects.position[..., 0] += (push * delta_x).sum(axis=-1)
    objects.position[..., 1] += (push * delta_y).sum(axis=-1)


def _push_off_receptacle_edges(world: World, receptacles: _Receptacles, held: Bools) -> None:
    """What is lower than a receptacle's surface stays beside it: an object gets there from above, or not at all."""
    objects, footprints = world.objects, receptacles.footprints
    is_low = objects.bottom[..., None] < receptacles.top - TOUCH_M
    u, v = footprints.into_frame(objects.position[..., None, 0], objects.position[..., None, 1])
    overlap = np.maximum(_radius(objects)[..., None] - footprints.distance(u, v), 0.0) * (is_low & ~held[..., None])
    if overlap.any():
        out_x, out_y = footprints.outward(u, v)
        objects.position[..., 0] += (out_x * overlap).sum(axis=-1)
        objects.position[..., 1] += (out_y * overlap).sum(axis=-1)
    _clip(objects.position[..., :2], -TABLE_EDGE, TABLE_EDGE)


def _radius(objects: Bodies) -> Floats:
    return 0.5 * (objects.half[..., 0] + objects.half[..., 1])


def _settle(world: World, receptacles: _Receptacles, held: Bools) -> None:
    """Free objects fall, up to what is under their centre."""
    x, y, z = (world.objects.position[..., axis] for axis in range(3))
    ground = receptacles.support_height(x, y) + world.objects.half[..., 2]
    np.copyto(z, np.maximum(z - FALL_M, ground), where=~held)
