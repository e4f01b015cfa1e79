"""What the camera sees of N tables."""

from __future__ import annotations

import numpy as np

from feat2go.envs.tabletop.arrays import Ints, Pixels
from feat2go.envs.tabletop.camera import SAMPLES, Camera
from feat2go.envs.tabletop.canvas import Canvas, average, pack
from feat2go.envs.tabletop.draw import draw
from feat2go.envs.tabletop.dynamics import FINGER_RADIUS
from feat2go.envs.tabletop.kinds import BOX, CYLINDER
from feat2go.envs.tabletop.solids import Solids
from feat2go.envs.tabletop.table import table_picture
from feat2go.envs.tabletop.world import MAX_OPENING, Bodies, World

KEPT_BYTES = 2**24
# Half extents in metres.
FINGER_HALF = (0.009, FINGER_RADIUS, 0.032)
PALM_HALF = (0.017, MAX_OPENING / 2 + 2 * FINGER_RADIUS, 0.011)
WRIST_HALF = (0.021, 0.021, 0.030)
# Of the two fingers, the palm and the wrist: which side they are on, and the heights of their centres.
PALM_HEIGHT = 2 * FINGER_HALF[2] + PALM_HALF[2]
SIDES = np.array([1.0, -1.0, 0.0, 0.0])
HEIGHTS = np.array([FINGER_HALF[2], FINGER_HALF[2], PALM_HEIGHT, PALM_HEIGHT + PALM_HALF[2] + WRIST_HALF[2]])
FINGER_COLOUR = (58, 60, 68)
PALM_COLOUR = (214, 216, 222)
WRIST_COLOUR = (120, 124, 134)


class Renderer:
    """Renders N tables. Receptacles never move, so they are drawn once per episode.

    Keeps 8 bytes for each of four samples of every pixel and 3 for the pixel, 35 * N * H * W in all. What moves is
    drawn on a copy of the pixels around it; all others are as they were at the start of the episode.

    Args:
        num_envs: N.
        image_size: side in pixels.
    """

    def __init__(self, num_envs: int, image_size: int) -> None:
        self._camera = Camera(image_size)
        colour, depth = table_picture(self._camera)
        self._table = Canvas(pack(*np.moveaxis(colour.swapaxes(0, 1), -1, 0)), np.ascontiguousarray(depth.T))
        self._table_picture = average(self._table.colour).reshape(image_size, image_size, 3)
        self._background = Canvas.empty(num_envs * self._camera.num_pixels, len(SAMPLES))
        self._grippers = _grippers(num_envs)
        _keep_freed_memory()
        self._pictures = np.empty((num_envs, image_size, image_size, 3), dtype=np.uint8)

    def set_background(self, world: World, rows: Ints) -> None:
        """Draw the table and receptacles of environments ``rows``."""
        self._background.lay(self._table, rows)
        self._pictures[rows] = self._table_picture
        changed, canvas = draw(self._background, self._camera, Solids.of(world.receptacles[rows], rows))
        self._background.put(changed, canvas)
        _put_pixels(self._pictures, changed, average(canvas.colour))

    def render(self, world: World, rows: Ints) -> Pixels:
        """uint8 (len(rows), H, W, 3): the pictures of environments ``rows``, in ascending order."""
        _place_grippers(self._grippers, world)
        bodies = world.objects.beside(self._grippers)[rows]
        changed, canvas = draw(self._background, self._camera, Solids.of(bodies, rows))
        pictures = self._pictures.copy()
        _put_pixels(pictures, changed, average(canvas.colour))
        return pictures if len(rows) == len(pictures) else pictures[rows]


def _keep_freed_memory() -> None:
    """Let what is computed in a step be computed on the same memory in the next.

    glibc returns freed memory to the system, to be taken anew page by page, until a larger piece has once been freed.
    From then on it keeps up to twice as much.
    """
    np.empty(KEPT_BYTES, dtype=np.uint8)


def _put_pixels(pictures: Pixels, places: Ints, pixels: Pixels) -> None:
    """Overwrite the pixels at ``places`` of contiguous (N, H, W, 3), numbered through, with (U, 3)."""
    # As one thing of three bytes, which is copied at once.
    pictures.view("V3").reshape(-1)[places] = pixels.view("V3").reshape(-1)


def _grippers(num_envs: int) -> Bodies:
    """Two fingers, the palm and the wrist of each environment, to be placed."""
    bodies = Bodies.zeros(num_envs, 4)
    bodies.solid[:] = (BOX, BOX, BOX, CYLINDER)
    bodies.half[:] = (FINGER_HALF, FINGER_HALF, PALM_HALF, WRIST_HALF)
    bodies.colour[:] = (FINGER_COLOUR, FINGER_COLOUR, PALM_COLOUR, WRIST_COLOUR)
    return bodies


def _place_grippers(bodies: Bodies, world: World) -> None:
    """The tips of the fingers at the gripper's position, the palm above the fingers, the wrist above the palm."""
    side = (world.opening / 2 + FINGER_RADIUS)[:, None] * SIDES
    # As (0, side) turned by the yaw.
    bodies.position[..., 0] = world.gripper[:, :1] - np.sin(world.yaw)[:, None] * side
    bodies.position[..., 1] = world.gripper[:, 1:2] + np.cos(world.yaw)[:, None] * side
    bodies.position[..., 2] = world.gripper[:, 2:] + HEIGHTS
    bodies.yaw[:] = world.yaw[:, None]
