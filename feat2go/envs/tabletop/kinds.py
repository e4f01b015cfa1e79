"""The kinds of things on the table: their solids, sizes in metres and colours.

Axes, as seen by the camera: x points away from it, y to the left, z up. The table's top is z = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BOX, CYLINDER, BALL = range(3)


@dataclass(frozen=True)
class Kind:
    """A solid that stands upright.

    Attributes:
        solid: BOX, CYLINDER or BALL.
        half: half extents (x, y, z) in metres; for round solids x = y = radius.
        symmetry: angle in radians after which a turn about z changes nothing; 0 for round solids.
        inset: brightness of the top inside of its rim; 1 for no rim.
    """

    solid: int
    half: tuple[float, float, float]
    symmetry: float
    inset: float = 1.0

    @property
    def reach(self) -> float:
        """Radius of the footprint's circumscribed circle, in metres."""
        return math.hypot(*self.half[:2]) if self.solid == BOX else self.half[0]


OBJECTS = {
    "cube": Kind(BOX, (0.024, 0.024, 0.024), math.pi / 2),
    "ball": Kind(BALL, (0.026, 0.026, 0.026), 0.0),
    "cylinder": Kind(CYLINDER, (0.022, 0.022, 0.032), 0.0),
    "bar": Kind(BOX, (0.045, 0.017, 0.018), math.pi),
}

RECEPTACLES = {
    "plate": Kind(CYLINDER, (0.062, 0.062, 0.005), 0.0, inset=0.84),
    "tray": Kind(BOX, (0.054, 0.054, 0.007), math.pi / 2, inset=0.84),
    "bowl": Kind(CYLINDER, (0.050, 0.050, 0.013), 0.0, inset=0.6),
}

COLOURS = {
    "red": (214, 48, 44),
    "green": (52, 158, 66),
    "blue": (44, 92, 206),
    "yellow": (240, 196, 36),
    "purple": (134, 62, 172),
    "white": (236, 236, 232),
}
