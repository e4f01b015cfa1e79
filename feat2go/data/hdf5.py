"""Reading HDF5 with errors that name the file and the field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# More than gzip can do, which is the best of HDF5's own filters.
MAX_COMPRESSION = 1100
# What h5py raises for damaged content, depending on where the damage is.
DAMAGE = (OSError, RuntimeError, KeyError)


class DatasetError(ValueError):
    """A dataset on disk is not what it should be; the message names the file and the field."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises:
        DatasetError: if it is missing, cut off or not HDF5.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except OSError as error:
        raise DatasetError(f"{path} can't be read: it is cut off or not HDF5 ({error})") from None
    with file:
        yield file


def contains(group: h5py.Group, name: str) -> bool:
    """Whether a group has something of this name.

    Raises:
        DatasetError: if its index is damaged.
    """
    try:
        return name in group
    except DAMAGE as error:
        raise DatasetError(f"{_field(group, name)} can't be looked up: the file is damaged ({error})") from None


def find_group(group: h5py.Group, name: str) -> h5py.Group:
    """A group inside a group.

    Raises:
        DatasetError: if there is none, or it is damaged.
    """
    found = _find(group, name)
    if not isinstance(found, h5py.Group):
        raise DatasetError(f"{_field(group, name)} is not a group")
    return found


def read_array(group: h5py.Group, name: str, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """A whole dataset as an array of ``dtype``; ``None`` in ``shape`` stands for any length.

    Raises:
        DatasetError: if it is missing, damaged, not of numbers or of another shape.
    """
    dataset = _find_dataset(group, name)
    fits = len(dataset.shape) == len(shape) and all(
        wanted in (None, got) for wanted, got in zip(shape, dataset.shape, strict=True)
    )
    if not fits or dataset.dtype.kind not in "biuf":
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise DatasetError(f"{_field(group, name)} is {dataset.dtype} {dataset.shape}; expected numbers ({wanted})")
    _require_plausible(dataset)
    return _read(dataset, slice(None)).astype(dtype)


def read_attribute(group: h5py.Group, name: str) -> Any:
    """An attribute of a group.

    Raises:
        DatasetError: if it is missing or damaged.
    """
    try:
        return group.attrs[name]
    except DAMAGE:
        raise DatasetError(f"{_field(group, name)} (an attribute) is missing or damaged") from None


def _require_plausible(dataset: h5py.Dataset) -> None:
    """Refuse what would take more memory than could ever have been in the file."""
    size = Path(dataset.file.filename).stat().st_size
    if dataset.nbytes > MAX_COMPRESSION * size:
        raise DatasetError(
            f"{dataset.file.filename}: {dataset.name} is damaged: more than the file can hold, {dataset.shape}"
        )


class HDF5Frames:
    """Frames in an HDF5 file, read when they are sliced.

    Holds no open file, so it can go to another process.

    Attributes:
        shape: (T, H, W, 3).

    Raises:
        DatasetError: unless ``group`` has uint8 frames under ``name``.
    """

    def __init__(self, group: h5py.Group, name: str) -> None:
        dataset = _find_dataset(group, name)
        if dataset.dtype != np.uint8 or len(dataset.shape) != 4 or dataset.shape[-1] != 3:
            raise DatasetError(
                f"{_field(group, name)} is {dataset.dtype} {dataset.shape}; expected frames uint8 (T, H, W, 3)"
            )
        _require_plausible(dataset)
        self.shape: tuple[int, ...] = dataset.shape
        self._path = Path(group.file.filename)
        self._name: str = dataset.name

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        with open_hdf5(self._path) as file:
            return _read(_find_dataset(file, self._name), rows)


def _find(group: h5py.Group, name: str) -> Any:
    try:
        return group[name]
    except DAMAGE:
        raise DatasetError(f"{_field(group, name)} is missing or damaged") from None


def _find_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    found = _find(group, name)
    if not isinstance(found, h5py.Dataset):
        raise DatasetError(f"{_field(group, name)} is not an array")
    return found


def _read(dataset: h5py.Dataset, rows: slice) -> np.ndarray:
    try:
        return np.asarray(dataset[rows])
    except DAMAGE as error:
        raise DatasetError(f"{dataset.file.filename}: {dataset.name} is damaged ({error})") from None


def _field(group: h5py.Group, name: str) -> str:
    return f"{group.file.filename}: {group.name.rstrip('/')}/{name.lstrip('/')}"
