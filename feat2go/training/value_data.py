"""The LightningDataModule of value models: frames of demonstrations with their progress targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from feat2go.core.seeding import require_split
from feat2go.core.types import Episode
from feat2go.data import open_dataset
from feat2go.data.split import held_out
from feat2go.progress import read_labels
from feat2go.rollouts.progress_bar import progress_bar
from feat2go.training.preparation import FramePreparation

T = TypeVar("T")


@dataclass(frozen=True)
class FrameBatch:
    """B frames for training.

    Attributes:
        prepared: (B, ...), what the network's ``prepare`` made of them.
        instruction: B sentences.
        target: float32 (B,) in [0, 1].
    """

    prepared: Tensor
    instruction: list[str]
    target: Tensor

    def to(self, device: torch.device) -> FrameBatch:
        """The same batch on another device."""
        return FrameBatch(self.prepared.to(device), self.instruction, self.target.to(device))


@dataclass(frozen=True)
class EpisodeBatch:
    """One whole episode of T frames, for validation and prediction.

    Attributes:
        index: its place in the data set.
        uid: its name.
        prepared: (T, ...), what the network's ``prepare`` made of its frames.
        instruction: its sentence.
        success: how it ended.
        target: float32 (T,) in [0, 1]; NaN where the episode failed.
    """

    index: int
    uid: str
    prepared: Tensor
    instruction: str
    success: bool
    target: Tensor

    def to(self, device: torch.device) -> EpisodeBatch:
        """The same episode on another device."""
        return replace(self, prepared=self.prepared.to(device), target=self.target.to(device))


class FrameDataset(Dataset[FrameBatch]):
    """All frames of some episodes; a batch is put together in one go."""

    def __init__(self, episodes: Sequence[EpisodeBatch]) -> None:
        self._episodes = list(episodes)
        self._rows = [(e, t) for e, episode in enumerate(self._episodes) for t in range(len(episode.target))]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> FrameBatch:
        return self.__getitems__([row])

    def __getitems__(self, rows: Sequence[int]) -> FrameBatch:
        places = [(self._episodes[e], t) for e, t in (self._rows[row] for row in rows)]
        return FrameBatch(
            torch.stack([episode.prepared[t] for episode, t in places]),
            [episode.instruction for episode, _ in places],
            torch.stack([episode.target[t] for episode, t in places]),
        )


class ValueDataModule(LightningDataModule):
    """Labelled demonstrations, split into training and validation by episode.

    What the network's frozen part makes of a frame is computed once, before the first epoch, and kept in memory. Failed
    episodes have no target: they are only held out, for the success/failure AUROC.

    Args:
        dataset: folders or files of episodes.
        labels: for each of them, the parquet that ``feat2go label`` wrote.
        validation_share: of the successful episodes of each data set, held out; at least one of each.
        batch_size: frames in a training batch.
        max_memory_gb: limit on what is kept of the frames, in GB.
        seed: of the split.

    Raises:
        ValueError: for settings that don't fit; in ``setup``, for episodes that don't fit their labels or that stem
            from evaluation seeds.
    """

    def __init__(
        self,
        dataset: list[str],
        labels: list[str],
        validation_share: float = 0.2,
        batch_size: int = 64,
        max_memory_gb: float = 8.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not dataset or len(dataset) != len(labels):
            raise ValueError(
                f"each data set needs its labels; got {len(dataset)} data sets and {len(labels)} of labels"
            )
        if not 0 < validation_share < 1:
            raise ValueError(f"validation_share must be between 0 and 1, got {validation_share}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._dataset = dataset
        self._labels = labels
        self._validation_share = validation_share
        self._batch_size = batch_size
        self._max_memory_gb = max_memory_gb
        self._seed = seed
        self._episodes: list[tuple[Episode, Tensor]] = []
        self._training: list[int] = []
        self._validation: list[int] = []
        self._prepared: dict[int, EpisodeBatch] = {}

    def setup(self, stage: str) -> None:
        """Read labels and episodes, without their frames, and split them."""
        if self._episodes:
            return
        for path, labels in zip(self._dataset, self._labels, strict=True):
            first = len(self._episodes)
            self._episodes += _labelled_episodes(path, labels)
            numbers = range(first, len(self._episodes))
            successes = [number for number in numbers if self._episodes[number][0].success]
            places = held_out(len(successes), self._validation_share, self._seed)
            training = set(successes) - {successes[place] for place in places}
            self._training += sorted(training)
            self._validation += sorted(set(numbers) - training)
        require_split((episode.seed for episode, _ in self._episodes), ("train", "development"), "a value model")

    def train_dataloader(self) -> DataLoader[FrameBatch]:
        dataset = FrameDataset(self._prepare(self._training))
        return DataLoader(dataset, self._batch_size, shuffle=True, collate_fn=_identity)

    def val_dataloader(self) -> DataLoader[EpisodeBatch]:
        return _episode_loader(self._prepare(self._validation))

    def predict_dataloader(self) -> DataLoader[EpisodeBatch]:
        """All episodes, whole."""
        return _episode_loader(self._prepare(range(len(self._episodes))))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def _prepare(self, numbers: Sequence[int]) -> list[EpisodeBatch]:
        todo = [number for number in numbers if number not in self._prepared]
        if not todo:
            return [self._prepared[number] for number in numbers]
        trainer: Any = self.trainer
        prepare = FramePreparation(trainer.lightning_module.network)
        with progress_bar("preparing frames", len(todo), enabled=trainer.is_global_zero) as update:
            for done, number in enumerate(todo, start=1):
                episode, target = self._episodes[number]
                prepared = prepare(torch.from_numpy(np.asarray(next(iter(episode.frames.values()))[:])))
                self._require_memory(prepared)
                self._prepared[number] = EpisodeBatch(
                    number, episode.uid, prepared, episode.instruction, episode.success, target
                )
                update(done, episode.uid)
        return [self._prepared[number] for number in numbers]

    def _require_memory(self, prepared: Tensor) -> None:
        num_frames = sum(len(target) for _, target in self._episodes)
        needed_gb = num_frames * prepared[0].nbytes / 1e9
        if needed_gb > self._max_memory_gb:
            raise ValueError(
                f"{num_frames} frames of {prepared[0].nbytes / 1e3:.0f} kB need {needed_gb:.1f} GB, more than "
                f"max_memory_gb={self._max_memory_gb:g}: raise it, take fewer episodes, or an encoder with fewer or "
                "narrower patches"
            )


def _labelled_episodes(path: str, labels: str) -> list[tuple[Episode, Tensor]]:
    """Each episode with its target float32 (T,), NaN where it failed."""
    targets = read_labels(labels)
    labelled = []
    for episode in open_dataset(path):
        if not episode.success:
            labelled.append((episode, torch.full((len(episode),), torch.nan)))
            continue
        if episode.uid not in targets:
            raise ValueError(f"episode '{episode.uid}' of {path} has no labels in {labels}; run `feat2go label {path}`")
        target = targets[episode.uid].target
        if len(target) != len(episode):
            raise ValueError(
                f"episode '{episode.uid}' of {path} has {len(episode)} frames, but {len(target)} labels in {labels}; "
                f"run `feat2go label {path}`"
            )
        labelled.append((episode, target))
    return labelled


def _episode_loader(episodes: list[EpisodeBatch]) -> DataLoader[EpisodeBatch]:
    return DataLoader(episodes, batch_size=None, collate_fn=_identity)  # type: ignore[arg-type]


def _identity(batch: T) -> T:
    return batch
