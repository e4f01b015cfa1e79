"""Episodes in a folder: ``dataset.json``, and ``episodes/NNNNNN.h5`` with one episode each."""

from __future__ import annotations

import re
from pathlib import Path

from feat2go.core import Episode
from feat2go.core.lazy import LazySequence
from feat2go.data.hdf5 import DatasetError, open_hdf5
from feat2go.data.info import DatasetInfo
from feat2go.data.trajectory import read_attributes, read_trajectory

GROUP = "traj_0"


class FolderDataset(LazySequence[Episode]):
    """One .h5 per episode, as ``feat2go collect`` writes. Frames are read when they are sliced.

    Args:
        path: the folder.

    Attributes:
        info: what all episodes share.

    Raises:
        DatasetError: here if ``dataset.json`` is unfit, on access if an episode is. The message names file and field.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.info = DatasetInfo.load(self.path / "dataset.json")
        self._files = episode_files(self.path)

    @classmethod
    def detect(cls, path: Path) -> bool:
        """Whether ``path`` looks like this format."""
        return (path / "dataset.json").is_file()

    def __len__(self) -> int:
        return len(self._files)

    def _read(self, number: int) -> Episode:
        path = self._files[number]
        with open_hdf5(path) as file:
            episode = Episode(
                **read_trajectory(file, GROUP, self.info.cameras)._asdict(), **read_attributes(file, GROUP)._asdict()
            )
        problem = self.info.mismatch(episode)
        if problem:
            raise DatasetError(f"{path}: {problem}, as {self.path / 'dataset.json'} has it")
        return episode


def episode_files(path: Path) -> list[Path]:
    """The complete episodes of a folder, in the order in which they were written."""
    files = [file for file in (path / "episodes").glob("*.h5") if re.fullmatch(r"\d{6,}", file.stem)]
    return sorted(files, key=lambda file: int(file.stem))
