"""Training rows for policies: a frame of a demonstration, and what was done from it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from feat2go.core import Episode, Observation
from feat2go.data.info import shape_of

# Frames of a dataset up to this size are decoded once and kept.
MEMORY_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class DemonstrationBatch:
    """What an expert saw and did.

    Attributes:
        observation: B rows.
        actions: float32 (B, C, A), what it did from then on; zero after the episode's end.
        mask: bool (B, C), actions of the episode.
    """

    observation: Observation
    actions: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.actions)

    def to(self, device: torch.device | str) -> DemonstrationBatch:
        """The same batch on another device."""
        return DemonstrationBatch(self.observation.to(device), self.actions.to(device), self.mask.to(device))


class DemonstrationRows(Dataset[DemonstrationBatch]):
    """One row for each frame of the successful episodes in which the expert acted. Collate with :meth:`collate`.

    Args:
        episodes: of one environment. Small datasets are decoded once and kept in memory, others read frame by frame.
        chunk: C, actions per row.

    Raises:
        ValueError: if no episode succeeded, or actions leave [-1, 1].
    """

    def __init__(self, episodes: Sequence[Episode], chunk: int) -> None:
        if chunk < 1:
            raise ValueError(f"chunk is at least 1; got {chunk}")
        self._episodes = in_memory([episode for episode in episodes if episode.success])
        if not self._episodes:
            raise ValueError(f"none of {len(episodes)} episodes succeeded; behaviour cloning needs successes")
        for episode in self._episodes:
            if not np.all(np.abs(episode.actions) <= 1):
                raise ValueError(f"the actions of episode '{episode.uid}' leave [-1, 1]")
        self._chunk = chunk
        self._index = [(e, t) for e, episode in enumerate(self._episodes) for t in range(len(episode) - 1)]

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> DemonstrationBatch:
        number, t = self._index[index]
        episode = self._episodes[number]
        following = torch.from_numpy(episode.actions[t : t + self._chunk])
        actions = torch.zeros(1, self._chunk, following.shape[1])
        actions[0, : len(following)] = following
        state = None if episode.state is None else torch.from_numpy(episode.state[t : t + 1])
        images = {camera: torch.from_numpy(frames[t : t + 1]) for camera, frames in episode.frames.items()}
        return DemonstrationBatch(
            Observation(images, state, [episode.instruction]), actions, torch.arange(self._chunk)[None] < len(following)
        )

    @staticmethod
    def collate(rows: Sequence[DemonstrationBatch]) -> DemonstrationBatch:
        """Rows to one batch."""
        return DemonstrationBatch(
            Observation.concat([row.observation for row in rows]),
            torch.cat([row.actions for row in rows]),
            torch.cat([row.mask for row in rows]),
        )


def in_memory(episodes: Sequence[Episode], max_bytes: int = MEMORY_BYTES) -> list[Episode]:
    """The episodes with decoded frames, if all of them together fit into ``max_bytes``; else as they are."""
    num_bytes = sum(int(np.prod(shape_of(frames))) for episode in episodes for frames in episode.frames.values())
    if num_bytes > max_bytes:
        return list(episodes)
    return [
        replace(episode, frames={camera: np.asarray(frames[:]) for camera, frames in episode.frames.items()})
        for episode in episodes
    ]
