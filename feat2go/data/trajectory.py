"""One episode in one HDF5 group, in the layout of ManiSkill's own trajectories.

``obs/sensor_data/<camera>/rgb`` uint8 (T, H, W, 3), ``obs/state`` float32 (T, S), ``actions`` float32 (T-1, A), and per
action bool (T-1,) ``success``, ``terminated`` and ``truncated``. Beside them, ours: ``milestones`` int64 (T,) and the
attributes ``instruction``, ``success``, ``uid``, ``env_id``, ``seed`` and ``fps``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import h5py
import numpy as np

from feat2go.core import Episode
from feat2go.data.hdf5 import DatasetError, HDF5Frames, contains, find_group, read_array, read_attribute

SENSOR_DATA = "obs/sensor_data"


class Trajectory(NamedTuple):
    """The arrays of an episode; shapes as in :class:`feat2go.core.Episode`."""

    frames: dict[str, HDF5Frames]
    actions: np.ndarray
    state: np.ndarray | None
    milestones: np.ndarray | None


class Attributes(NamedTuple):
    """The rest of it."""

    instruction: str
    success: bool
    uid: str
    env_id: str
    seed: int
    fps: float


def write_trajectory(group: h5py.Group, episode: Episode) -> None:
    """Fill an empty group.

    An ``Episode`` knows only how it ended, so ``success`` is set at most at the last action, and an episode that didn't
    succeed counts as truncated.
    """
    for camera, frames in episode.frames.items():
        images = np.asarray(frames[:])
        group.create_dataset(
            f"{SENSOR_DATA}/{camera}/rgb",
            data=images,
            # A chunk is what must be decoded to see one frame.
            chunks=(1, *images.shape[1:]),
            compression="gzip",
            compression_opts=4,
        )
    if episode.state is not None:
        group["obs/state"] = np.asarray(episode.state, np.float32)
    if episode.milestones is not None:
        group["milestones"] = np.asarray(episode.milestones, np.int64)
    group["actions"] = np.asarray(episode.actions, np.float32)
    is_last = np.arange(len(episode.actions)) == len(episode.actions) - 1
    group["success"] = is_last & episode.success
    group["terminated"] = is_last & episode.success
    group["truncated"] = is_last & (not episode.success)
    for name in Attributes._fields:
        group.attrs[name] = getattr(episode, name)


def read_trajectory(file: h5py.File, name: str, cameras: Sequence[str]) -> Trajectory:
    """The arrays of group ``name``, frames not decoded.

    Raises:
        DatasetError: naming the field that is missing, damaged or of a length that doesn't fit the others.
    """
    group = find_group(file, name)
    actions = read_array(group, "actions", np.float32, (None, None))
    if len(actions) == 0:
        raise DatasetError(f"{file.filename}: /{name}/actions is empty: the episode has no steps")
    if not np.isfinite(actions).all():
        raise DatasetError(f"{file.filename}: /{name}/actions holds NaN or infinity")
    num_frames = len(actions) + 1
    frames = {camera: HDF5Frames(group, f"{SENSOR_DATA}/{camera}/rgb") for camera in cameras}
    for camera, images in frames.items():
        if len(images) != num_frames:
            raise DatasetError(
                f"{file.filename}: /{name}/{SENSOR_DATA}/{camera}/rgb has {len(images)} frames; "
                f"the {len(actions)} actions need {num_frames}"
            )
    state = read_array(group, "obs/state", np.float32, (num_frames, None)) if contains(group, "obs/state") else None
    milestones = read_array(group, "milestones", np.int64, (num_frames,)) if contains(group, "milestones") else None
    return Trajectory(frames, actions, state, milestones)


def read_attributes(file: h5py.File, name: str) -> Attributes:
    """The attributes of group ``name``.

    Raises:
        DatasetError: naming the attribute that is missing.
    """
    group = find_group(file, name)
    return Attributes(
        instruction=str(read_attribute(group, "instruction")),
        success=bool(read_attribute(group, "success")),
        uid=str(read_attribute(group, "uid")),
        env_id=str(read_attribute(group, "env_id")),
        seed=int(read_attribute(group, "seed")),
        fps=float(read_attribute(group, "fps")),
    )
