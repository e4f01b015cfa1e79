"""25 objects and 17 receptacles of primitives: shapes and colours that stand for the things of RL4VLA's suite."""

from __future__ import annotations

from feat2go.envs.put_on.models import Colour, Part, PrimitiveModel, Shape
from feat2go.envs.put_on.names import OBJECTS, RECEPTACLES

_MM = 0.001
# How far decoration stands out of what it decorates, in mm: enough for the depth buffer to tell.
_PAINT = 1.0

_WHITE, _BLACK, _STEEL = (0.95, 0.95, 0.93), (0.06, 0.06, 0.07), (0.62, 0.64, 0.67)
_GREEN, _LEAF, _ORANGE, _RED = (0.1, 0.55, 0.2), (0.2, 0.65, 0.15), (0.95, 0.45, 0.05), (0.82, 0.08, 0.08)
_BROWN, _CRUST, _YELLOW, _TAN = (0.45, 0.26, 0.12), (0.8, 0.55, 0.25), (0.97, 0.85, 0.15), (0.76, 0.6, 0.42)
_BLUE, _TEAL, _PURPLE, _PINK = (0.1, 0.25, 0.75), (0.05, 0.5, 0.55), (0.5, 0.15, 0.55), (0.9, 0.5, 0.6)


def _part(shape: Shape, size: tuple[float, ...], at: tuple[float, ...], colour: Colour, solid: bool = True) -> Part:
    """Half extents and centre in millimetres."""
    return Part(shape, _metres(size), _metres(at), colour, solid)


def _metres(lengths_mm: tuple[float, ...]) -> tuple[float, float, float]:
    x, y, z = (length * _MM for length in lengths_mm)
    return x, y, z


def _upright(radius: float, height: float, bottom: float, colour: Colour, solid: bool = True) -> Part:
    """A standing cylinder: radius, height and height of its bottom, in mm."""
    return _part("rod z", (radius, radius, height / 2), (0, 0, bottom + height / 2), colour, solid)


def _lying(radius: float, length: float, start: float, colour: Colour, height: float | None = None) -> Part:
    """A cylinder along x: radius, length, x of its start and height of its axis, in mm."""
    axis_height = radius if height is None else height
    return _part("rod x", (length / 2, radius, radius), (start + length / 2, 0, axis_height), colour)


# Objects: at least 24 mm and at most 50 mm wide somewhere, so that a gripper can take them.
_OBJECT_PARTS: dict[str, tuple[Part, ...]] = {
    "carrot": (
        _lying(16, 40, 0, _ORANGE),
        _lying(13, 30, 40, _ORANGE, 14),
        _lying(9, 20, 70, _ORANGE, 13),
        _lying(6, 22, -22, _LEAF, 15),
    ),
    "kitchen shovel": (
        _part("box", (28, 26, 3), (-58, 0, 4), _STEEL),
        _part("box", (42, 12, 12), (12, 0, 12), _BLACK),
    ),
    "bread": (_part("box", (26, 22, 14), (0, 0, 14), _TAN), _part("box", (23, 19, 1), (0, 0, 29), _CRUST)),
    "plastic bottle": (
        _upright(22, 55, 0, (0.55, 0.8, 0.95)),
        _upright(10, 15, 55, (0.55, 0.8, 0.95)),
        _upright(11, 8, 70, _BLUE),
    ),
    "7up can": (_upright(24, 60, 0, _GREEN), _upright(21, 2, 60, _STEEL), _upright(24.4, 14, 22, _WHITE, False)),
    "zucchini": (_lying(15, 90, 0, (0.15, 0.4, 0.12)), _lying(6, 12, 90, _LEAF, 15)),
    "ketchup bottle": (_upright(21, 52, 0, _RED), _upright(14, 10, 52, _RED), _upright(8, 12, 62, _WHITE)),
    "watering can": (
        _upright(23, 45, 0, _TEAL),
        _part("box", (20, 5, 5), (38, 0, 30), _TEAL),
        _part("box", (5, 9, 9), (60, 0, 34), _TEAL),
    ),
    "pipe": (_lying(14, 85, 0, (0.7, 0.45, 0.3)), _part("rod z", (14, 14, 20), (14, 0, 20), (0.7, 0.45, 0.3))),
    "toy bear": (
        _part("ball", (21, 21, 21), (0, 0, 21), _BROWN),
        _part("ball", (16, 16, 16), (0, 0, 54), _BROWN),
        _part("ball", (6, 6, 6), (0, 13, 68), _TAN, False),
        _part("ball", (6, 6, 6), (0, -13, 68), _TAN, False),
        _part("ball", (6, 6, 6), (13, 0, 51), _TAN, False),
    ),
    "fast food cup": (_upright(20, 58, 0, _RED), _upright(23, 4, 58, _WHITE), _upright(20.4, 20, 20, _YELLOW, False)),
    "plant": (
        _upright(20, 34, 0, (0.7, 0.35, 0.2)),
        _part("ball", (16, 16, 16), (0, 0, 48), _LEAF, False),
        _part("ball", (10, 10, 10), (10, 8, 58), _GREEN, False),
        _part("ball", (10, 10, 10), (-8, -8, 60), _GREEN, False),
    ),
    "banana": (
        _part("rod y", (14, 24, 14), (0, 0, 14), _YELLOW),
        _part("rod y", (11, 13, 11), (5, 35, 13), _YELLOW),
        _part("rod y", (11, 13, 11), (5, -35, 13), _YELLOW),
        _part("rod y", (5, 6, 5), (9, 53, 14), _BROWN),
    ),
    "hamburger": (
        _upright(25, 12, 0, _CRUST),
        _upright(26, 5, 12, _LEAF),
        _upright(25, 8, 17, _BROWN),
        _upright(25, 13, 25, _CRUST),
    ),
    "golf ball": (_part("ball", (20, 20, 20), (0, 0, 20), _WHITE),),
    "BBQ sauce": (
        _upright(20, 50, 0, (0.3, 0.08, 0.05)),
        _upright(11, 18, 50, _BLACK),
        _upright(20.4, 18, 15, _YELLOW, False),
    ),
    "travel cup": (_upright(22, 62, 0, _PURPLE), _upright(23, 8, 62, _BLACK)),
    "pepper": (_part("ball", (23, 23, 23), (0, 0, 23), _RED), _upright(5, 12, 44, _GREEN, False)),
    "nonstop can": (_upright(22, 64, 0, _BLUE), _upright(19, 2, 64, _STEEL), _upright(22.4, 10, 30, _ORANGE, False)),
    "potato": (_part("ball", (19, 19, 19), (-9, 0, 19), _TAN), _part("ball", (19, 19, 19), (9, 0, 19), _TAN)),
    "baguette": (
        _lying(15, 110, 0, _CRUST),
        *(_part("box", (3, 10, 1), (x, 0, 30), _TAN, False) for x in (20, 43, 66, 89)),
    ),
    "champagne glass": (
        _upright(22, 4, 0, (0.8, 0.9, 0.95)),
        _upright(12, 26, 4, (0.8, 0.9, 0.95)),
        _upright(18, 34, 30, (0.95, 0.85, 0.5)),
    ),
    "kitchen spoon": (
        _part("box", (18, 18, 4), (-56, 0, 5), _TAN),
        _part("box", (40, 12, 12), (2, 0, 12), _BROWN),
    ),
    "onion": (_part("ball", (22, 22, 22), (0, 0, 22), (0.75, 0.4, 0.55)), _upright(4, 12, 42, _TAN, False)),
    "cup": (
        _upright(23, 46, 0, _PINK),
        _part("box", (6, 3, 12), (27, 0, 24), _PINK),
        _upright(19, 1, 46, _WHITE, False),
    ),
}
# Where the thing as a whole is not what to take it by.
_GRASP_PARTS = {
    "kitchen shovel": 1,
    "kitchen spoon": 1,
    "watering can": 0,
    "banana": 0,
    "cup": 0,
    "carrot": 0,
    "plant": 0,
}


def _disc(radius: float, height: float, colour: Colour, *paint: Part) -> tuple[Part, ...]:
    return (_upright(radius, height, 0, colour), *paint)


def _slab(length: float, width: float, height: float, colour: Colour, *paint: Part) -> tuple[Part, ...]:
    """Half length and half width, full height."""
    return (_part("box", (length, width, height / 2), (0, 0, height / 2), colour), *paint)


def _ring(radius: float, height: float, colour: Colour) -> Part:
    """A painted disc on top of one that is ``height`` high."""
    return _upright(radius, _PAINT, height, colour, False)


def _stripe(x: float, y: float, length: float, width: float, height: float, colour: Colour) -> Part:
    return _part("box", (length, width, _PAINT / 2), (x, y, height + _PAINT / 2), colour, False)


_RECEPTACLE_PARTS: dict[str, tuple[Part, ...]] = {
    "plate": _disc(55, 6, _WHITE, _ring(46, 6, (0.75, 0.82, 0.9)), _ring(34, 7, _WHITE)),
    "cloth": _slab(55, 55, 5, _BLUE, *(_stripe(0, y, 55, 4, 5, _WHITE) for y in (-40, -13, 13, 40))),
    "carpet": _slab(
        55, 47, 4, (0.55, 0.1, 0.15), _stripe(0, 0, 45, 37, 4, _YELLOW), _stripe(0, 0, 39, 31, 5, (0.4, 0.05, 0.1))
    ),
    "newspaper": _slab(
        41,
        58,
        4,
        (0.85, 0.84, 0.8),
        _stripe(0, 46, 34, 6, 4, _BLACK),
        *(_stripe(0, y, 34, 2, 4, _STEEL) for y in range(-50, 35, 9)),
    ),
    "sheet metal": _slab(
        55, 47, 4, _STEEL, _stripe(-30, 0, 4, 47, 4, (0.75, 0.77, 0.8)), _stripe(20, 0, 8, 47, 4, (0.5, 0.52, 0.55))
    ),
    "drawing tablet": _slab(56, 42, 4, _BLACK, _stripe(6, 0, 44, 36, 4, (0.2, 0.22, 0.25))),
    "tomato slice": _disc(55, 5, _RED, _ring(46, 5, (0.95, 0.4, 0.3)), _ring(14, 6, _RED)),
    "pizza": _disc(
        55,
        6,
        _CRUST,
        _ring(48, 6, _YELLOW),
        *(
            _part("rod z", (8, 8, 0.5), (x, y, 7.5), _RED, False)
            for x, y in ((20, 10), (-22, 14), (2, -26), (-6, 34), (28, -20))
        ),
    ),
    "flat bowl": _disc(55, 8, _TEAL, _ring(46, 8, (0.6, 0.85, 0.85))),
    "gramophone disk": _disc(55, 4, _BLACK, _ring(44, 4, (0.16, 0.16, 0.17)), _ring(18, 5, _RED), _ring(4, 6, _WHITE)),
    "frying pan": (*_disc(52, 6, _BLACK, _ring(44, 6, (0.3, 0.3, 0.32))), _part("box", (5, 6, 3), (0, 57, 3), _BLACK)),
    "mouse pad": _slab(55, 55, 5, _PURPLE, _stripe(0, 0, 49, 49, 5, (0.35, 0.1, 0.4))),
    "cutting board": _slab(
        62,
        54,
        4,
        _TAN,
        _stripe(0, 18, 62, 1, 4, _BROWN),
        _stripe(0, -18, 62, 1, 4, _BROWN),
        _stripe(50, 40, 6, 6, 4, _BROWN),
    ),
    "chess board": _slab(
        55,
        55,
        6,
        _WHITE,
        *(
            _stripe(-41.25 + 27.5 * i, -41.25 + 27.5 * j, 13.75, 13.75, 6, _BLACK)
            for i in range(4)
            for j in range(4)
            if (i + j) % 2
        ),
    ),
    "manhole cover": _disc(
        55, 5, (0.2, 0.19, 0.18), *(_stripe(0, y, 36, 3, 5, (0.08, 0.08, 0.08)) for y in (-30, -15, 0, 15, 30))
    ),
    "envelope": _slab(
        55,
        40,
        4,
        (0.93, 0.88, 0.75),
        _stripe(0, 38, 55, 2, 4, _RED),
        _stripe(0, -38, 55, 2, 4, _BLUE),
        _stripe(42, 24, 8, 9, 4, _RED),
    ),
    "notepad": _slab(
        55,
        40,
        4,
        _YELLOW,
        _stripe(-48, 0, 6, 40, 4, _BROWN),
        *(_stripe(5, y, 44, 0.8, 4, _BLUE) for y in range(-30, 36, 10)),
    ),
}


def shipped_objects() -> tuple[PrimitiveModel, ...]:
    """In the order of ``names.OBJECTS``."""
    return tuple(PrimitiveModel(name, _OBJECT_PARTS[name], grasp_part=_GRASP_PARTS.get(name)) for name in OBJECTS)


def shipped_receptacles() -> tuple[PrimitiveModel, ...]:
    """In the order of ``names.RECEPTACLES``; heavy, so that they stay."""
    return tuple(PrimitiveModel(name, _RECEPTACLE_PARTS[name], density=3000.0) for name in RECEPTACLES)
