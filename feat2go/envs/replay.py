"""Episodes in the middle, from their seeds and actions: what a resumed run goes on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def replay(actions: Sequence[Tensor | np.ndarray], action_dim: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """What to do, one time step after the other, so that N episodes of different ages are all up to date at the end.

    The older an episode, the earlier it begins.

    Args:
        actions: for each environment float32 (L_n, A), all actions of its running episode.
        action_dim: A.

    Yields:
        The environments that begin their episode now, then float32 (N, A), the actions to carry out in those that have
        begun; after the last beginning, None.

    Raises:
        ValueError: for actions of another width.
    """
    chunks = [np.asarray(part, dtype=np.float32) for part in actions]
    for chunk in chunks:
        if chunk.ndim != 2 or chunk.shape[1] != action_dim:
            raise ValueError(f"the actions of an episode have the shape (L, {action_dim}); got {chunk.shape}")
    lengths = np.array([len(chunk) for chunk in chunks])
    longest = int(lengths.max())
    aligned = np.zeros((longest, len(chunks), action_dim), np.float32)
    for env, chunk in enumerate(chunks):
        # As the environments do: half precision may leave the range by rounding.
        aligned[longest - len(chunk) :, env] = chunk.clip(-1, 1)
    for time in range(longest + 1):
        yield np.flatnonzero(longest - lengths == time), aligned[time] if time < longest else None
