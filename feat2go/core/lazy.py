"""Sequences whose entries are read when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

Entry = TypeVar("Entry", covariant=True)


class LazySequence(Sequence[Entry]):
    """A subclass has a length and reads one entry; indices from the end and slices come from here."""

    @abstractmethod
    def _read(self, number: int) -> Entry:
        """Entry ``number`` of ``len(self)``, from 0."""

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        numbers = range(len(self))[index]
        return self._read(numbers) if isinstance(numbers, int) else [self._read(number) for number in numbers]
