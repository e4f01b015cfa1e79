"""Frames of more episodes than memory holds, read from disk while they are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from feat2go.core.seeding import generator
from feat2go.core.types import Episode, Frames
from feat2go.training.value_batches import EpisodeBatch, FrameBatch

# An episode, frames not read, and its target float32 (T,).
LabelledEpisode: TypeAlias = tuple[Episode, Tensor]

# Frames that are decoded at once: what a long episode takes of memory beside the pool.
BLOCK = 64


class FrameStream(IterableDataset[FrameBatch]):
    """Batches of random frames; one epoch goes once through the episodes, in a new random order.

    A pool of episodes at a time is in memory: random frames of each, through one random camera, mixed. Every rank gets
    its own episodes and as many batches as the others; of the episodes that don't divide evenly, others each epoch are
    left out. Images are as they were recorded, not prepared.

    Args:
        episodes: with their targets.
        cameras: names; None is the first.
        batch_size: frames in a batch; the last one of a pool may be smaller.
        frames_per_episode: taken of each, more than once where it is shorter.
        pool_size: episodes in a pool.
        seed: of order and choice.
        rank, world_size: of this process.

    Raises:
        ValueError: for fewer episodes than ranks.
    """

    def __init__(
        self,
        episodes: Sequence[LabelledEpisode],
        cameras: Sequence[str | None],
        batch_size: int,
        frames_per_episode: int,
        pool_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(episodes) < world_size:
            raise ValueError(f"{len(episodes)} training episodes are too few for {world_size} processes")
        self.epoch = 0
        self._episodes = episodes
        self._cameras = cameras
        self._batch_size = batch_size
        self._frames_per_episode = frames_per_episode
        self._pool_size = pool_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        return sum(-(-len(pool) * self._frames_per_episode // self._batch_size) for pool in self._pools())

    def __iter__(self) -> Iterator[FrameBatch]:
        worker = get_worker_info()
        start, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for pool in self._pools()[start::step]:
            yield from self._batches(pool)

    def _pools(self) -> list[list[int]]:
        order = torch.randperm(len(self._episodes), generator=generator(self._seed, self.epoch, "episodes")).tolist()
        own = order[self._rank :: self._world_size][: len(order) // self._world_size]
        return [own[first : first + self._pool_size] for first in range(0, len(own), self._pool_size)]

    def _batches(self, pool: Sequence[int]) -> Iterator[FrameBatch]:
        parts = [self._draw(number) for number in pool]
        sizes = {part.prepared.shape[1:3]: number for part, number in zip(parts, pool, strict=True)}
        if len(sizes) > 1:
            found = ", ".join(f"{h}x{w} in '{self._episodes[n][0].uid}'" for (h, w), n in sizes.items())
            raise ValueError(f"the frames of a batch need one size, found {found}; train on cameras of one size")
        images = torch.cat([part.prepared for part in parts])
        instruction = [sentence for part in parts for sentence in part.instruction]
        target = torch.cat([part.target for part in parts])
        order = torch.randperm(len(target), generator=generator(self._seed, self.epoch, pool[0], "frames"))
        for rows in torch.split(order, self._batch_size):
            yield FrameBatch(images[rows], [instruction[row] for row in rows.tolist()], target[rows])

    def _draw(self, number: int) -> FrameBatch:
        """Random frames of one episode, in ascending order."""
        episode, target = self._episodes[number]
        draw = generator(self._seed, self.epoch, number, "draw")
        camera = self._cameras[int(torch.randint(len(self._cameras), (), generator=draw))]
        # Whole rounds through the episode, so that no frame is missing while another comes twice.
        num_rounds = -(-self._frames_per_episode // len(target))
        rows = torch.cat([torch.randperm(len(target), generator=draw) for _ in range(num_rounds)])
        rows = rows[: self._frames_per_episode].sort().values
        images = torch.from_numpy(read_rows(episode.view(camera), rows.tolist()))
        return FrameBatch(images, [episode.instruction] * len(rows), target[rows])


class FrameLoader:
    """A stream as a loader: every ``iter`` is another epoch, whatever process the stream is read in.

    Args:
        stream: gives whole batches.
        num_workers: processes that read; 0 reads in this one.
        first_epoch: of the first ``iter``.
    """

    def __init__(self, stream: FrameStream, num_workers: int = 0, first_epoch: int = 0) -> None:
        self._stream = stream
        self._loader: DataLoader[FrameBatch] = DataLoader(
            stream,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
        )
        self._next_epoch = first_epoch

    def __len__(self) -> int:
        return len(self._stream)

    def __iter__(self) -> Iterator[FrameBatch]:
        self._stream.epoch = self._next_epoch
        self._next_epoch += 1
        return iter(self._loader)


class EpisodeFiles(Dataset[EpisodeBatch]):
    """Whole episodes, read when they are asked for; not prepared.

    Args:
        episodes: all of the data set, with their targets.
        numbers: which of them.
        camera: through which they are seen; None is the first.
    """

    def __init__(self, episodes: Sequence[LabelledEpisode], numbers: Sequence[int], camera: str | None) -> None:
        self._episodes = episodes
        self._numbers = numbers
        self._camera = camera

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row: int) -> EpisodeBatch:
        number = self._numbers[row]
        episode, target = self._episodes[number]
        images = torch.from_numpy(np.asarray(episode.view(self._camera)[:]))
        return EpisodeBatch(number, episode.uid, images, episode.instruction, episode.success, target)


def read_rows(frames: Frames, rows: Sequence[int]) -> np.ndarray:
    """Some frames uint8 (len(rows), H, W, 3), with at most ``BLOCK`` others in memory.

    Args:
        frames: T of them.
        rows: ascending.
    """
    parts = []
    for first in range(0, len(frames), BLOCK):
        wanted = [row - first for row in rows if first <= row < first + BLOCK]
        if wanted:
            block = np.asarray(frames[first + wanted[0] : first + wanted[-1] + 1])
            parts.append(block[[row - wanted[0] for row in wanted]])
    return np.concatenate(parts)


def _as_it_is(batch: Any) -> Any:
    return batch
