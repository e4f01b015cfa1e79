"""Memory that the main process and its workers write to and read from without copying through a pipe."""

from __future__ import annotations

import io
import math
import mmap
import os

import numpy as np

from feat2go.envs.maniskill.config import SimulationInfo
from feat2go.envs.maniskill.episodes import Frames


def create() -> io.FileIO:
    """An anonymous, still empty piece of memory. It vanishes with the last process that holds it, even if killed."""
    return io.FileIO(os.memfd_create("feat2go-maniskill", 0), "r+")


def map_frames(descriptor: int, num_rows: int, image_size: int, info: SimulationInfo) -> Frames:
    """Pictures and states of ``num_rows`` environments in that memory, which is made large enough."""
    image_shape = (num_rows, len(info.cameras), image_size, image_size, 3)
    state_shape = (num_rows, info.state_dim)
    image_bytes, state_bytes = math.prod(image_shape), 4 * math.prod(state_shape)
    # States first: they need the alignment.
    size = 2 * (state_bytes + image_bytes)
    os.ftruncate(descriptor, size)
    memory = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
    state, final_state, images, final_images = np.split(memory, np.cumsum([state_bytes, state_bytes, image_bytes]))
    return Frames(
        images=images.reshape(image_shape),
        state=state.view(np.float32).reshape(state_shape),
        final_images=final_images.reshape(image_shape),
        final_state=final_state.view(np.float32).reshape(state_shape),
    )
