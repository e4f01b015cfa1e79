"""Where things can stand and how the robot can start, as tables.

Things stand on the points of a grid with a pitch of 3 cm, 6 by 6 around (-0.16, 0) m, the robot looking along x. Which
points go together is decided on whole grid steps, so that no rounding decides whether 15 cm are more than 15 cm.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

GRID_CENTRE_M = (-0.16, 0.0)
_PITCH_CM = 3
_SIDE = 6

# An object and a receptacle, and two things of one kind, are farther apart than this.
_APART_CM = 7
_FAR_APART_CM = 15

YAWS = tuple(float(angle) for angle in np.deg2rad([0.0, 45.0, 90.0, 135.0]))
UNSEEN_YAWS = tuple(float(angle) for angle in np.deg2rad([-22.5, -67.5, -112.5, -157.5]))

_SMALL_OFFSETS_RAD = (-0.15, -0.08, 0.0, 0.08, 0.15)
_WRIST_OFFSETS_RAD = (-0.6, -0.3, 0.0, 0.3, 0.6)
_MAX_LIFT_RAD = 0.25


@functools.cache
def pairs() -> np.ndarray:
    """float64 (784, 2, 2): positions (x, y) in metres of the object and the receptacle."""
    return _pairs_of(_grid())


@functools.cache
def ring_pairs() -> np.ndarray:
    """float64 (628, 2, 2): the same on the 28 points around the grid, where nothing stands in training."""
    return _pairs_of(_ring())


@functools.cache
def triples_with_far_objects() -> np.ndarray:
    """float64 (1896, 3, 2): object, receptacle, and a third point far from the object, apart from the receptacle."""
    points = _grid()
    apart, far = _apart(points, _APART_CM), _apart(points, _FAR_APART_CM)
    # [object, receptacle, third]
    fits = apart[:, :, None] & apart[None] & far[:, None, :]
    return _positions(points, fits)


@functools.cache
def triples_with_far_receptacles() -> np.ndarray:
    """float64 (1896, 3, 2): object, receptacle, and a third point far from the receptacle, apart from the object."""
    points = _grid()
    apart, far = _apart(points, _APART_CM), _apart(points, _FAR_APART_CM)
    fits = apart[:, :, None] & far[None] & apart[:, None, :]
    return _positions(points, fits)


@functools.cache
def joint_offsets() -> np.ndarray:
    """float64 (14375, 6) in rad, added to the start pose: waist, shoulder, elbow, forearm, wrist bend, wrist turn.

    Shoulder and elbow together stay within 0.25. One of them is zero: the training pose, as in RL4VLA's table.
    """
    product = itertools.product(*[_SMALL_OFFSETS_RAD] * 5, _WRIST_OFFSETS_RAD)
    return np.array([offset for offset in product if abs(offset[1] + offset[2]) <= _MAX_LIFT_RAD])


def _grid() -> np.ndarray:
    return np.array(list(itertools.product(range(_SIDE), repeat=2)))


def _ring() -> np.ndarray:
    wider = itertools.product(range(-1, _SIDE + 1), repeat=2)
    return np.array([point for point in wider if min(point) == -1 or max(point) == _SIDE])


def _apart(points: np.ndarray, distance_cm: int) -> np.ndarray:
    """Bool (P, P): which points are farther apart than this."""
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    apart: np.ndarray = squares * _PITCH_CM**2 > distance_cm**2
    return apart


def _pairs_of(points: np.ndarray) -> np.ndarray:
    return _positions(points, _apart(points, _APART_CM))


def _positions(points: np.ndarray, fits: np.ndarray) -> np.ndarray:
    """Grid indices that fit together, in metres."""
    offsets = (points - (_SIDE - 1) / 2) * _PITCH_CM / 100
    positions: np.ndarray = offsets[np.argwhere(fits)] + GRID_CENTRE_M
    return positions
