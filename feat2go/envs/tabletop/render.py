"""What the camera sees of N tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from feat2go.envs.tabletop.arrays import Floats, Ints, Pixels
from feat2go.envs.tabletop.camera import SAMPLES, Camera
from feat2go.envs.tabletop.canvas import Canvas, Solids, average, draw, draw_shadows, pack
from feat2go.envs.tabletop.dynamics import FINGER_RADIUS
from feat2go.envs.tabletop.geometry import rotate
from feat2go.envs.tabletop.kinds import BALL, BOX, CYLINDER
from feat2go.envs.tabletop.table import table_picture
from feat2go.envs.tabletop.world import MAX_OPENING, Bodies, World

# Half extents in metres.
FINGER_HALF = (0.009, FINGER_RADIUS, 0.032)
PALM_HALF = (0.017, MAX_OPENING / 2 + 2 * FINGER_RADIUS, 0.011)
WRIST_HALF = (0.021, 0.021, 0.030)
FINGER_COLOUR = (58, 60, 68)
PALM_COLOUR = (214, 216, 222)
WRIST_COLOUR = (120, 124, 134)


class Renderer:
    """Renders N tables. Receptacles never move, so they are drawn once per episode.

    Keeps 8 bytes for each of four samples of every pixel, 32 * N * H * W in all.

    Args:
        num_envs: N.
        image_size: side in pixels.
    """

    def __init__(self, num_envs: int, image_size: int) -> None:
        self._camera = Camera(image_size)
        colour, depth = table_picture(self._camera)
        self._table = Canvas(pack(*np.moveaxis(colour, -1, 0)), depth)
        shape = (len(SAMPLES), num_envs, image_size, image_size)
        self._background = Canvas(np.empty(shape, dtype=np.uint32), np.empty(shape, dtype=np.float32))

    def set_background(self, world: World, rows: Ints) -> None:
        """Draw the table and receptacles of environments ``rows``."""
        canvas = self._table.take(np.zeros(len(rows), dtype=np.int64))
        self._draw(canvas, list(_bodies(world.receptacles[rows])))
        self._background.colour[:, rows] = canvas.colour
        self._background.depth[:, rows] = canvas.depth

    def render(self, world: World, rows: Ints) -> Pixels:
        """uint8 (len(rows), H, W, 3): the pictures of environments ``rows``."""
        world = world.select(rows)
        canvas = self._background.take(rows)
        self._draw(canvas, [*_bodies(world.objects), *_gripper(world)])
        return average(canvas)

    def _draw(self, canvas: Canvas, groups: list[Solids]) -> None:
        for solids in groups:
            draw_shadows(canvas, self._camera, solids)
        for solids in groups:
            draw(canvas, self._camera, solids)


def _bodies(bodies: Bodies) -> Iterator[Solids]:
    """Slot by slot, shape by shape, so that no two solids of a group are in the same picture."""
    for slot in range(bodies.yaw.shape[1]):
        for solid in (BOX, CYLINDER, BALL):
            rows = np.flatnonzero(bodies.solid[:, slot] == solid)
            if len(rows):
                chosen = bodies[rows, slot]
                yield Solids.of(solid, rows, chosen.position, chosen.half, chosen.yaw, chosen.colour, chosen.inset)


def _gripper(world: World) -> Iterator[Solids]:
    """Two fingers whose tips are at the gripper's position, the palm above them, the wrist above the palm."""
    centre = np.zeros(len(world.yaw))
    palm = 2 * FINGER_HALF[2] + PALM_HALF[2]
    wrist = palm + PALM_HALF[2] + WRIST_HALF[2]
    side = world.opening / 2 + FINGER_RADIUS
    yield _gripper_part(world, BOX, FINGER_HALF, FINGER_COLOUR, side, FINGER_HALF[2])
    yield _gripper_part(world, BOX, FINGER_HALF, FINGER_COLOUR, -side, FINGER_HALF[2])
    yield _gripper_part(world, BOX, PALM_HALF, PALM_COLOUR, centre, palm)
    yield _gripper_part(world, CYLINDER, WRIST_HALF, WRIST_COLOUR, centre, wrist)


def _gripper_part(
    world: World,
    solid: int,
    half: tuple[float, float, float],
    colour: tuple[int, int, int],
    side: Floats,
    height: float,
) -> Solids:
    num_envs = len(world.yaw)
    x, y = rotate(np.zeros(num_envs), side, world.yaw)
    centre = world.gripper + np.stack([x, y, np.full(num_envs, height)], axis=1)
    return Solids.of(
        solid,
        np.arange(num_envs),
        centre,
        np.tile(half, (num_envs, 1)),
        world.yaw,
        np.tile(colour, (num_envs, 1)),
        np.ones(num_envs),
    )
