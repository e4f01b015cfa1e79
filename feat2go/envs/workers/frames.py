"""What rows of environments show, and what became of their actions, as arrays."""

from __future__ import annotations

import io
import math
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frames:
    """Where pictures and states are written, N rows each. May lie in memory that processes share.

    Attributes:
        images, final_images: uint8 (N, K, H, W, 3): what the K cameras see now, and the last sight of the episode that
            ended last.
        state, final_state: float32 (N, S), likewise.
    """

    images: np.ndarray
    state: np.ndarray
    final_images: np.ndarray
    final_state: np.ndarray

    @classmethod
    def zeros(cls, num_rows: int, num_cameras: int, image_size: int, state_dim: int) -> Frames:
        """In memory of this process."""
        image_shape, state_shape = (num_rows, num_cameras, image_size, image_size, 3), (num_rows, state_dim)
        images, final_images = np.zeros(image_shape, np.uint8), np.zeros(image_shape, np.uint8)
        return cls(images, np.zeros(state_shape, np.float32), final_images, np.zeros(state_shape, np.float32))

    @classmethod
    def mapped(cls, descriptor: int, num_rows: int, num_cameras: int, image_size: int, state_dim: int) -> Frames:
        """In the memory of :func:`shared_memory`, which is made large enough."""
        image_shape, state_shape = (num_rows, num_cameras, image_size, image_size, 3), (num_rows, state_dim)
        image_bytes, state_bytes = math.prod(image_shape), 4 * math.prod(state_shape)
        # States first: they need the alignment.
        size = 2 * (state_bytes + image_bytes)
        os.ftruncate(descriptor, size)
        memory = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
        state, final_state, images, final_images = np.split(memory, np.cumsum([state_bytes, state_bytes, image_bytes]))
        return cls(
            images=images.reshape(image_shape),
            state=state.view(np.float32).reshape(state_shape),
            final_images=final_images.reshape(image_shape),
            final_state=final_state.view(np.float32).reshape(state_shape),
        )

    def rows(self, rows: slice) -> Frames:
        """Views of some rows."""
        return Frames(self.images[rows], self.state[rows], self.final_images[rows], self.final_state[rows])


@dataclass(frozen=True)
class Flags:
    """What became of each action of a chunk, (N, C) as in ``core.types.Step``.

    The first four are bool, ``milestone`` is int64, ``reward`` float32 and zero unless the simulation gives one.
    """

    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    valid: np.ndarray
    milestone: np.ndarray
    reward: np.ndarray

    @classmethod
    def empty(cls, num_rows: int, chunk: int) -> Flags:
        """Nothing was carried out."""
        terminated, truncated, success, valid = np.zeros((4, num_rows, chunk), bool)
        milestone, reward = np.zeros((num_rows, chunk), np.int64), np.zeros((num_rows, chunk), np.float32)
        return cls(terminated, truncated, success, valid, milestone, reward)

    @classmethod
    def concat(cls, parts: Sequence[Flags]) -> Flags:
        """Join the rows."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    @property
    def ended_rows(self) -> list[int]:
        """Whose episode ended in this chunk."""
        ended: list[int] = np.flatnonzero((self.terminated | self.truncated).any(axis=1)).tolist()
        return ended


def shared_memory() -> io.FileIO:
    """Anonymous, still empty memory that a process and its workers write to and read from without a pipe.

    It vanishes with the last process that holds it, even if killed.
    """
    return io.FileIO(os.memfd_create("feat2go-frames", 0), "r+")
