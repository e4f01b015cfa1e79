"""What the camera sees of N tables."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Ints, Pixels
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

    Keeps 8 bytes for each of four samples of every pixel, and as much to draw on, 64 * N * H * W in all.

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
        # Drawn on in every step: new memory of this size would be taken from the system and given back each time.
        self._canvas = Canvas(np.empty(shape, dtype=np.uint32), np.empty(shape, dtype=np.float32))

    def set_background(self, world: World, rows: Ints) -> None:
        """Draw the table and receptacles of environments ``rows``."""
        canvas = self._table.take(np.zeros(len(rows), dtype=np.int64))
        self._draw(canvas, world.receptacles[rows])
        self._background.colour[:, rows] = canvas.colour
        self._background.depth[:, rows] = canvas.depth

    def render(self, world: World, rows: Ints) -> Pixels:
        """uint8 (len(rows), H, W, 3): the pictures of environments ``rows``."""
        world = world.select(rows)
        canvas = self._background.take(rows, out=self._canvas)
        self._draw(canvas, world.objects.beside(_gripper(world)))
        return average(canvas)

    def _draw(self, canvas: Canvas, bodies: Bodies) -> None:
        groups = _by_shape(bodies)
        for solids in groups:
            draw_shadows(canvas, self._camera, solids)
        for solids in groups:
            draw(canvas, self._camera, solids)


def _by_shape(bodies: Bodies) -> list[Solids]:
    """All bodies of all environments, in one group per shape."""
    groups = []
    for solid in (BOX, CYLINDER, BALL):
        env, slot = np.nonzero(bodies.solid == solid)
        if len(env):
            chosen = bodies[env, slot]
            numbers = (chosen.position.T, chosen.half.T, np.cos(chosen.yaw), np.sin(chosen.yaw), chosen.colour.T)
            groups.append(
                Solids(solid, env, *(np.ascontiguousarray(part, np.float32) for part in (*numbers, chosen.inset)))
            )
    return groups


def _gripper(world: World) -> Bodies:
    """Two fingers whose tips are at the gripper's position, the palm above them, the wrist above the palm."""
    num_envs = len(world.yaw)
    palm_height = 2 * FINGER_HALF[2] + PALM_HALF[2]
    wrist_height = palm_height + PALM_HALF[2] + WRIST_HALF[2]
    height = np.array([FINGER_HALF[2], FINGER_HALF[2], palm_height, wrist_height])
    side = (world.opening / 2 + FINGER_RADIUS)[:, None] * np.array([1.0, -1.0, 0.0, 0.0])
    x, y = rotate(np.zeros_like(side), side, world.yaw[:, None])
    offset = np.stack([x, y, np.broadcast_to(height, side.shape)], axis=-1)

    bodies = Bodies.zeros(num_envs, 4)
    bodies.solid[:] = (BOX, BOX, BOX, CYLINDER)
    bodies.half[:] = (FINGER_HALF, FINGER_HALF, PALM_HALF, WRIST_HALF)
    bodies.position[:] = world.gripper[:, None] + offset
    bodies.yaw[:] = world.yaw[:, None]
    bodies.colour[:] = (FINGER_COLOUR, FINGER_COLOUR, PALM_COLOUR, WRIST_COLOUR)
    return bodies
