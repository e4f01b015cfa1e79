"""What is left of a dataset in which some episodes can't be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from feat2go.core import Episode
from feat2go.core.lazy import LazySequence
from feat2go.data.hdf5 import DatasetError

log = logging.getLogger(__name__)


class ReadableEpisodes(LazySequence[Episode]):
    """The episodes of a dataset that can be read as a whole. Each is read once, frames included, to know.

    Args:
        episodes: any dataset.

    Attributes:
        damaged: of each episode that was left out, what is wrong with it; logged as warnings too.

    Raises:
        DatasetError: if none is left; the message is that of the first.
    """

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = episodes
        self._numbers: list[int] = []
        self.damaged: list[str] = []
        for number in range(len(episodes)):
            try:
                _read_whole(episodes[number])
            except DatasetError as error:
                self.damaged.append(str(error))
                log.warning("left out: %s", error)
            else:
                self._numbers.append(number)
        if self.damaged and not self._numbers:
            raise DatasetError(f"no episode can be read; the first of {len(self.damaged)}: {self.damaged[0]}")

    def __len__(self) -> int:
        return len(self._numbers)

    def _read(self, number: int) -> Episode:
        return self._episodes[self._numbers[number]]


def _read_whole(episode: Episode) -> None:
    for frames in episode.frames.values():
        frames[:]
