"""The LightningDataModule for behaviour cloning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler

from feat2go.core import Episode
from feat2go.core.distributed import gather
from feat2go.core.seeding import generator, require_split
from feat2go.data import open_dataset
from feat2go.data.windows import DemonstrationBatch, DemonstrationRows


class DemonstrationDataModule(LightningDataModule):
    """Frames of successful demonstrations and what the expert did from them on.

    Whole episodes are held out for validation, never single frames of an episode that is trained on.

    Args:
        dataset: folders or files of episodes, all of one environment.
        num_episodes: use only the first so many successful ones; all by default. A few make a weak start.
        num_batches: optimiser steps per epoch; rows are drawn at random.
        batch_size: rows per step.
        validation_share: share of the episodes that is held out; 0 for none.
        seed: of the split and the drawing.
        skip_damaged: leave out episodes that can't be read, naming them, rather than stop.
    """

    def __init__(
        self,
        dataset: list[str],
        num_episodes: int | None = None,
        num_batches: int = 100,
        batch_size: int = 64,
        validation_share: float = 0.1,
        seed: int = 0,
        skip_damaged: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= validation_share < 1:
            raise ValueError(f"validation_share lies in [0, 1); got {validation_share}")
        self._dataset = dataset
        self._num_episodes = num_episodes
        self._num_batches = num_batches
        self._batch_size = batch_size
        self._validation_share = validation_share
        self._seed = seed
        self._skip_damaged = skip_damaged
        self._generator = torch.Generator()
        self._restored: list[torch.Tensor] = []
        self._train: Sequence[Episode] = []
        self._validation: Sequence[Episode] = []

    def setup(self, stage: str) -> None:
        found = (episode for path in self._dataset for episode in open_dataset(path, self._skip_damaged))
        episodes = [episode for episode in found if episode.success]
        episodes = episodes[: self._num_episodes]
        require_split((episode.seed for episode in episodes), ("train", "development"), "behaviour cloning")
        order = torch.randperm(len(episodes), generator=generator(self._seed, "split")).tolist()
        num_held_out = round(len(episodes) * self._validation_share)
        self._validation = [episodes[i] for i in order[:num_held_out]]
        self._train = [episodes[i] for i in order[num_held_out:]]

    def train_dataloader(self) -> DataLoader[DemonstrationBatch]:
        rows = self._rows(self._train)
        rank, world_size = self._world()
        if len(self._restored) == world_size:
            self._generator.set_state(self._restored[rank])
        else:
            self._generator = generator(self._seed, "draw", rank)
        draw = _Draw(rows, self._num_batches * self._batch_size, rank, world_size, self._generator)
        return DataLoader(rows, self._batch_size, sampler=draw, collate_fn=DemonstrationRows.collate)

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run draws the rows that would have come next. All processes must call."""
        return {"draw": gather(self._generator.get_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict["draw"]

    def val_dataloader(self) -> DataLoader[DemonstrationBatch] | list[Any]:
        if not self._validation:
            return []
        share = _Share(self._rows(self._validation), *self._world())
        # A distributed sampler already, or Lightning would put one of its own here, which makes some rows count twice.
        in_order: DistributedSampler[Any] = DistributedSampler(share, num_replicas=1, rank=0, shuffle=False)
        return DataLoader(share, self._batch_size, sampler=in_order, collate_fn=DemonstrationRows.collate)

    def _rows(self, episodes: Sequence[Episode]) -> DemonstrationRows:
        policy: Any = self.trainer.lightning_module.policy  # type: ignore[union-attr]
        return DemonstrationRows(episodes, policy.chunk)

    def _world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


class _Share(Dataset[DemonstrationBatch]):
    """What one of P processes validates with: every P-th row.

    All processes have as many. Where rows are left over, those that have none of them get one that counts for nothing.
    """

    def __init__(self, rows: DemonstrationRows, rank: int, world_size: int) -> None:
        self._all = rows
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        return -(-len(self._all) // self._world_size)

    def __getitem__(self, index: int) -> DemonstrationBatch:
        place = self._rank + index * self._world_size
        if place < len(self._all):
            return self._all[place]
        row = self._all[0]
        return replace(row, mask=torch.zeros_like(row.mask))


class _Draw(DistributedSampler[Any]):
    """Rows at random, others in each process.

    A distributed sampler, or Lightning would put one of its own here, which goes over the data once.
    """

    def __init__(
        self, rows: Dataset[Any], num_samples: int, rank: int, world_size: int, generator: torch.Generator
    ) -> None:
        super().__init__(rows, world_size, rank)
        self._draw = RandomSampler(rows, replacement=True, num_samples=num_samples, generator=generator)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._draw)

    def __iter__(self) -> Iterator[int]:
        return iter(self._draw)
