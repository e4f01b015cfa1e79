"""Which format a dataset on disk has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feat2go.core import Episode
from feat2go.data.hdf5 import DatasetError
from feat2go.registry import FORMATS


def open_dataset(path: str | Path) -> Sequence[Episode]:
    """Open a dataset of any registered format, told by what is there.

    A registered format is a ``Sequence`` of episodes that is made of a path alone and has a classmethod
    ``detect(path) -> bool``.

    Raises:
        DatasetError: if there is nothing, or nothing known; the message names the known formats.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    for name in FORMATS:
        dataset = FORMATS.get(name)
        if dataset.detect(path):
            found: Sequence[Episode] = dataset(path)
            return found
    known = "; ".join(f"{name} ({FORMATS.entry(name).summary})" for name in FORMATS)
    raise DatasetError(f"{path} has none of the known formats: {known}")
