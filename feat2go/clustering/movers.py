"""Which patches move on their own: two arms rest at different times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# A patch moves in a frame in which it changes by this share of what an episode's fastest patches change by.
MOVING_SHARE, FASTEST_QUANTILE = 0.2, 0.99
# Fewer neighbouring patches than this are a shadow, or noise.
MIN_BLOB = 4
# Patches that move less than this share of the most moving one belong to no mover.
MIN_PATCH_SHARE = 1e-3
# A mover has at least this share of the motion.
MIN_SHARE = 0.1
# So many episodes tell the movers of a task.
MAX_EPISODES = 16


def find_movers(motions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Split the picture in two if it shows two things that move on their own, such as two arms.

    In each frame, neighbouring patches that move are one blob. Patches of one blob move together; those of different
    blobs move at the same time, but apart. The split into two that agrees best with both is the sign of the leading
    eigenvector of what is together minus what is apart, normalised as in spectral clustering. It stands if patches on
    its two sides are more often apart than together, and each side has a tenth of the motion. One arm, with all of
    its links, is a single blob most of the time and is not split.

    Args:
        motions: (T_e - 1, P) of each episode, see :func:`~feat2go.clustering.motion.patch_motion`. Patches that are not
            a square grid are not split.

    Returns:
        Bool (P,) of each mover: two, or one with all patches.
    """
    num_patches = motions[0].shape[1]
    side = round(num_patches**0.5)
    everything = [np.ones(num_patches, bool)]
    if side**2 != num_patches:
        return everything
    together, apart = _evidence(motions[:MAX_EPISODES], side)
    total = together.sum(axis=1)
    live = np.flatnonzero(total > MIN_PATCH_SHARE * total.max())
    if not len(live):
        return everything
    is_first = _best_split(together[np.ix_(live, live)], apart[np.ix_(live, live)], total[live])
    if is_first is None:
        return everything
    movers = np.zeros((2, num_patches), bool)
    movers[0, live[is_first]] = movers[1, live[~is_first]] = True
    return list(movers)


def _evidence(motions: Sequence[np.ndarray], side: int) -> tuple[np.ndarray, np.ndarray]:
    """(P, P) twice: how much patches move in one blob, and in different ones at the same time."""
    together, apart = np.zeros((2, side**2, side**2))
    for motion in motions:
        frames = _blobs(motion, side)
        if not frames:
            continue
        blobs, moving = np.concatenate(frames), np.stack([blobs.sum(axis=0) for blobs in frames])
        in_one = blobs.T @ blobs
        together += in_one
        apart += moving.T @ moving - in_one
    return together, apart


def _best_split(together: np.ndarray, apart: np.ndarray, total: np.ndarray) -> np.ndarray | None:
    """Bool (N,), on which side each patch is, of (N,) motion in all; None if the two sides are not two movers."""
    leading = np.linalg.eigh((together - apart) / np.sqrt(np.outer(total, total)))[1][:, -1]
    is_first: np.ndarray = leading > 0
    across = np.ix_(is_first, ~is_first)
    share = total[is_first].sum() / total.sum()
    if not MIN_SHARE < share < 1 - MIN_SHARE or apart[across].sum() <= together[across].sum():
        return None
    return is_first


def _blobs(motion: np.ndarray, side: int) -> list[np.ndarray]:
    """Of each frame with motion (N, P): the root of how much each patch moves, in the blob that it belongs to."""
    from scipy import ndimage

    least = MOVING_SHARE * np.quantile(motion, FASTEST_QUANTILE)
    frames = []
    for amount in motion:
        is_moving = (amount > least).reshape(side, side)
        label, num_blobs = ndimage.label(is_moving, np.ones((3, 3)))
        own = label.ravel() == np.arange(1, num_blobs + 1)[:, None]
        own = own[own.sum(axis=1) >= MIN_BLOB]
        if len(own):
            frames.append(own * np.sqrt(amount, dtype=np.float64))
    return frames
