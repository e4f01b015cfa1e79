"""21 pictures of tables and 21 textures, drawn by formula.

A table's picture is what the camera would see of an empty table top: each pixel's ray meets the plane of the table, and
a pattern says what colour the table has there. Beyond its edge there is a floor.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from feat2go.envs.put_on.names import NUM_TABLES

Colour = tuple[int, int, int]
# Of positions (x, y), each (...,) in units of the pattern: how much of the second colour, in [0, 1].
Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]

# The table top, in metres: x from, x to, half width.
_TABLE_X_M, _TABLE_HALF_WIDTH_M = (-0.75, 0.35), 0.55
_TEXTURE_SIZE = 256


def _noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Smooth noise in [0, 1]: random numbers on the unit lattice, blended."""
    lattice = np.random.default_rng(seed).random((64, 64))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = _smooth(x - column), _smooth(y - row)
    c00, c10 = lattice[row % 64, column % 64], lattice[row % 64, (column + 1) % 64]
    c01, c11 = lattice[(row + 1) % 64, column % 64], lattice[(row + 1) % 64, (column + 1) % 64]
    noise: np.ndarray = (c00 * (1 - a) + c10 * a) * (1 - b) + (c01 * (1 - a) + c11 * a) * b
    return noise


def _smooth(t: np.ndarray) -> np.ndarray:
    return np.asarray(t * t * (3 - 2 * t))


def _cloudy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.6 * _noise(x, y, 1) + 0.3 * _noise(2.1 * x, 2.1 * y, 2) + 0.1 * _noise(4.3 * x, 4.3 * y, 3)


def _wood(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Planks along y, with grain."""
    plank = np.floor(x)
    grain = _noise(12 * x, 0.7 * y + 7.3 * plank, 4)
    seam = (x - plank) < 0.04
    return np.where(seam, 1.0, 0.25 * np.sin(2.4 * plank) + 0.3 + 0.4 * grain)


def _marble(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    vein: np.ndarray = np.abs(np.sin(x + 4 * _cloudy(x, y)))
    return 1 - vein**0.4


def _checks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(((np.floor(x) + np.floor(y)) % 2).astype(float))


def _gingham(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((np.floor(x) % 2 + np.floor(y) % 2) / 2)


def _stripes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (np.floor(x + 0.4 * y) % 2).astype(float)


def _tiles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    joint = np.minimum(x - np.floor(x), y - np.floor(y)) < 0.06
    return np.where(joint, 1.0, 0.3 * _noise(np.floor(x), np.floor(y), 5))


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(((x - np.floor(x) - 0.5) ** 2 + (y - np.floor(y) - 0.5) ** 2 < 0.09).astype(float))


def _speckles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (_noise(9 * x, 9 * y, 6) > 0.72).astype(float) * 0.8 + 0.2 * _cloudy(x, y)


def _grass(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _noise(14 * x, 5 * y, 7)


def _waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 + 0.5 * np.sin(6 * x + 2 * np.sin(3 * y)))


# What the paper's tables are called or look like: pattern, size of its unit in metres, two colours.
_TABLES: tuple[tuple[Pattern, float, Colour, Colour], ...] = (
    (_wood, 0.12, (196, 156, 110), (140, 98, 60)),
    (_cloudy, 0.3, (60, 110, 190), (80, 135, 215)),
    (_wood, 0.30, (86, 60, 44), (52, 34, 24)),
    (_wood, 0.09, (172, 130, 84), (96, 66, 38)),
    (_cloudy, 0.5, (214, 210, 202), (196, 190, 180)),
    (_wood, 0.16, (224, 190, 140), (190, 150, 100)),
    (_cloudy, 0.2, (232, 200, 90), (214, 176, 60)),
    (_marble, 0.12, (236, 234, 230), (150, 150, 156)),
    (_speckles, 0.08, (176, 176, 178), (90, 90, 96)),
    (_tiles, 0.10, (206, 180, 150), (150, 120, 96)),
    (_wood, 0.20, (120, 72, 50), (84, 46, 30)),
    (_cloudy, 0.25, (236, 170, 184), (220, 146, 166)),
    (_gingham, 0.05, (236, 232, 226), (190, 50, 56)),
    (_grass, 0.06, (90, 150, 60), (50, 100, 36)),
    (_tiles, 0.14, (120, 140, 156), (220, 224, 226)),
    (_stripes, 0.07, (232, 120, 70), (70, 160, 170)),
    # Unseen from here on.
    (_waves, 0.16, (170, 205, 214), (206, 230, 236)),
    (_cloudy, 0.15, (40, 120, 80), (64, 150, 100)),
    (_dots, 0.06, (240, 190, 204), (250, 250, 246)),
    (_speckles, 0.05, (130, 124, 116), (70, 66, 62)),
    (_checks, 0.09, (244, 240, 230), (60, 70, 110)),
)
_FLOOR = (118, 116, 112)

_TEXTURE_PATTERNS: tuple[Pattern, ...] = (_stripes, _checks, _dots, _waves, _marble, _grass, _tiles)


@functools.cache
def shipped_tables(
    size: int, position: tuple[float, float, float], target: tuple[float, float, float], fov: float
) -> tuple[np.ndarray, ...]:
    """21 pictures, uint8 (size, size, 3), as a camera sees the plane z = 0.

    Args:
        size: side in pixels.
        position: of the camera, in metres.
        target: what it looks at.
        fov: its vertical field of view in rad.
    """
    x, y = _table_points(size, np.array(position), np.array(target), fov)
    is_table = (x > _TABLE_X_M[0]) & (x < _TABLE_X_M[1]) & (np.abs(y) < _TABLE_HALF_WIDTH_M)
    floor = np.array(_FLOOR) * (0.85 + 0.15 * _cloudy(3 * x, 3 * y))[..., None]
    return tuple(
        np.where(is_table[..., None], _coloured(pattern(x / unit, y / unit), first, second), floor).astype(np.uint8)
        for pattern, unit, first, second in _TABLES
    )


@functools.cache
def shipped_textures() -> tuple[np.ndarray, ...]:
    """21 loud textures, uint8 (256, 256, 3): a pattern, its scale and two colours drawn for each."""
    across, down = np.meshgrid(*[np.linspace(0, 1, _TEXTURE_SIZE, endpoint=False)] * 2)
    textures = []
    for i in range(NUM_TABLES):
        random = np.random.default_rng(i)
        first, second = random.integers(0, 256, (2, 3))
        pattern = _TEXTURE_PATTERNS[i % len(_TEXTURE_PATTERNS)]
        scale = random.uniform(6, 14)
        mixed = _coloured(pattern(scale * across, scale * down), tuple(first), tuple(second))
        textures.append((mixed + random.normal(0, 12, mixed.shape)).clip(0, 255).astype(np.uint8))
    return tuple(textures)


def _table_points(size: int, position: np.ndarray, target: np.ndarray, fov: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel's ray meets z = 0: x and y, (size, size) each; far away for rays that don't."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    steps = (np.arange(size) + 0.5) / size * 2 - 1
    half = np.tan(fov / 2)
    rays = forward + half * (steps[None, :, None] * right + steps[:, None, None] * down)
    falls = np.minimum(rays[..., 2], -1e-3)
    reach = position[2] / -falls
    return position[0] + reach * rays[..., 0], position[1] + reach * rays[..., 1]


def _coloured(amount: np.ndarray, first: Colour, second: Colour) -> np.ndarray:
    return np.asarray(np.array(first) + amount[..., None].clip(0, 1) * (np.array(second, float) - np.array(first)))
