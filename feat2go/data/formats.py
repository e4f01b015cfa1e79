"""Which format a dataset on disk has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feat2go.core import Episode
from feat2go.data.damage import ReadableEpisodes
from feat2go.data.hdf5 import DatasetError
from feat2go.registry import FORMATS


def open_dataset(path: str | Path, skip_damaged: bool = False) -> Sequence[Episode]:
    """Open a dataset of any registered format, told by what is there.

    A registered format is a ``Sequence`` of episodes that is made of a path alone and has a classmethod
    ``detect(path) -> bool``. One that reads an episode when it is made also has a classmethod ``unchecked(path)`` that
    doesn't.

    Args:
        path: file or folder.
        skip_damaged: leave out episodes that can't be read as a whole, see :class:`~feat2go.data.ReadableEpisodes`.
            Without, a damaged episode raises when it is read.

    Raises:
        DatasetError: if there is nothing, or nothing known; the message names the known formats.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    for name in FORMATS:
        dataset = FORMATS.get(name)
        if dataset.detect(path):
            if skip_damaged:
                return ReadableEpisodes(getattr(dataset, "unchecked", dataset)(path))
            found: Sequence[Episode] = dataset(path)
            return found
    known = "; ".join(f"{name} ({FORMATS.entry(name).summary})" for name in FORMATS)
    raise DatasetError(f"{path} has none of the known formats: {known}")
