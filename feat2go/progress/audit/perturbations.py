"""Pictures of the same states, seen worse: by severity, without a simulator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Of severities 1, 2, 3. Moderate is 2.
SEVERITIES = (1, 2, 3)
_NOISE = (5.0, 12.0, 25.0)
_LIGHT = (0.85, 0.65, 0.45)
_COLOUR = (0.1, 0.25, 0.45)
_SHIFT = (0.02, 0.05, 0.1)
_ROTATION_DEG = (1.0, 3.0, 6.0)
_NUM_DISTRACTORS = (1, 3, 6)


def noise(frames: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Gaussian noise with a standard deviation of 5, 12 or 25 grey levels, anew in every frame."""
    rng = np.random.default_rng(seed)
    return _clipped(frames + rng.normal(0, _level(_NOISE, severity), frames.shape))


def light(frames: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Darker, to 85, 65 or 45 % on one side of the picture and half as much darker on the other."""
    dark = _level(_LIGHT, severity)
    ramp = np.linspace(dark, (1 + dark) / 2, frames.shape[2])
    if np.random.default_rng(seed).random() < 0.5:
        ramp = ramp[::-1]
    return _clipped(frames * ramp[None, None, :, None])


def colour(frames: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Each channel times a random factor of 1 +- 0.1, 0.25 or 0.45, the same in the whole episode."""
    spread = _level(_COLOUR, severity)
    factors = 1 + np.random.default_rng(seed).uniform(-spread, spread, 3)
    return _clipped(frames * factors)


def camera(frames: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """Shifted by 2, 5 or 10 % of the side and rotated by 1, 3 or 6 degrees, edges continued; nearest neighbour."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    angle = np.deg2rad(_level(_ROTATION_DEG, severity)) * rng.choice([-1, 1])
    direction = rng.uniform(0, 2 * np.pi)
    offset = _level(_SHIFT, severity) * height * np.array([np.sin(direction), np.cos(direction)])
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    rows, columns = rows - height / 2, columns - width / 2
    source_rows = np.cos(angle) * rows - np.sin(angle) * columns + height / 2 + offset[0]
    source_columns = np.sin(angle) * rows + np.cos(angle) * columns + width / 2 + offset[1]
    r = source_rows.round().astype(int).clip(0, height - 1)
    c = source_columns.round().astype(int).clip(0, width - 1)
    return np.asarray(frames[:, r, c])


def distractors(frames: np.ndarray, severity: int, seed: int) -> np.ndarray:
    """One, three or six discs of random colours that stand still, a tenth of the side wide."""
    rng = np.random.default_rng(seed)
    height, width = frames.shape[1:3]
    changed = frames.copy()
    rows, columns = np.mgrid[:height, :width]
    for _ in range(int(_level(_NUM_DISTRACTORS, severity))):
        row, column = rng.uniform(0.1, 0.9, 2) * (height, width)
        is_inside = (rows - row) ** 2 + (columns - column) ** 2 <= (height / 20) ** 2
        changed[:, is_inside] = rng.integers(0, 256, 3)
    return changed


PERTURBATIONS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "noise": noise,
    "light": light,
    "colour": colour,
    "camera": camera,
    "distractors": distractors,
}


def _level(values: tuple[float, ...] | tuple[int, ...], severity: int) -> int | float:
    if severity not in SEVERITIES:
        raise ValueError(f"severity is 1, 2 or 3; got {severity}")
    return values[severity - 1]


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values.round(), 0, 255).astype(np.uint8))
