"""Writing episodes into a folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from feat2go.core import Episode
from feat2go.core.files import atomic_write
from feat2go.data.folder import GROUP, episode_files
from feat2go.data.hdf5 import DatasetError, open_hdf5
from feat2go.data.info import DatasetInfo, shape_of
from feat2go.data.trajectory import read_attributes, write_trajectory


class EpisodeRecord(NamedTuple):
    """What :class:`EpisodeWriter` knows of an episode on disk."""

    seed: int
    success: bool


class EpisodeWriter:
    """Adds episodes to a folder, each as a whole or not at all. One writer at a time.

    Args:
        path: the folder; made if it isn't there, gone on with if it is.
        info: what the episodes share.

    Attributes:
        records: uid -> :class:`EpisodeRecord` of every complete episode in the folder.

    Raises:
        DatasetError: if the folder holds episodes of another kind, or one that can't be read.
    """

    def __init__(self, path: str | Path, info: DatasetInfo) -> None:
        self.path = Path(path)
        self.info = info
        description = self.path / "dataset.json"
        if description.exists():
            self._require_same(DatasetInfo.load(description))
        else:
            info.save(description)
        files = episode_files(self.path)
        self.records = dict(map(_read_record, files))
        self._next_number = 1 + max((int(file.stem) for file in files), default=-1)

    def write(self, episode: Episode) -> Path:
        """Write one episode and return its file.

        Raises:
            ValueError: if its uid is taken or it doesn't fit the folder.
        """
        if episode.uid in self.records:
            raise ValueError(f"{self.path} already has an episode with uid '{episode.uid}'")
        problem = self.info.mismatch(episode) or _inconsistency(episode)
        if problem:
            raise ValueError(f"episode '{episode.uid}' does not fit {self.path}: {problem}")
        target = self.path / "episodes" / f"{self._next_number:06d}.h5"
        with atomic_write(target) as partial, h5py.File(partial, "w") as file:
            write_trajectory(file.create_group(GROUP), episode)
        self._next_number += 1
        self.records[episode.uid] = EpisodeRecord(episode.seed, episode.success)
        return target

    def _require_same(self, present: DatasetInfo) -> None:
        for name, there in asdict(present).items():
            here = getattr(self.info, name)
            if here != there:
                raise DatasetError(
                    f"{self.path / 'dataset.json'}: field '{name}' is {there!r}, but the episodes to be added have "
                    f"{here!r}; choose another folder"
                )


def _read_record(path: Path) -> tuple[str, EpisodeRecord]:
    with open_hdf5(path) as file:
        attributes = read_attributes(file, GROUP)
    return attributes.uid, EpisodeRecord(attributes.seed, attributes.success)


def _inconsistency(episode: Episode) -> str | None:
    num_frames = len(episode)
    lengths = {
        f"frames of camera '{camera}'": (shape_of(frames)[0], num_frames) for camera, frames in episode.frames.items()
    }
    lengths["actions"] = (len(episode.actions), num_frames - 1)
    if episode.state is not None:
        lengths["state"] = (len(episode.state), num_frames)
    if episode.milestones is not None:
        lengths["milestones"] = (len(episode.milestones), num_frames)
    for name, (length, expected) in lengths.items():
        if length != expected:
            return f"{name} has {length} rows; {num_frames} frames need {expected}"
    if not np.all(np.abs(episode.actions) <= 1):
        return "actions leave [-1, 1]"
    return None
