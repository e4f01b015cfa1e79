"""The LightningDataModule of value models: frames of demonstrations with their progress targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from feat2go.core.seeding import generator, require_split
from feat2go.data import open_dataset
from feat2go.data.split import held_out
from feat2go.progress import read_labels
from feat2go.rollouts.progress_bar import progress_bar
from feat2go.training.frame_stream import EpisodeFiles, FrameLoader, FrameStream, LabelledEpisode
from feat2go.training.preparation import FramePreparation, prepare_frames
from feat2go.training.value_batches import EpisodeBatch, FrameBatch

T = TypeVar("T")

log = logging.getLogger(__name__)


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
            torch.tensor([self._rows[row] for row in rows]),
        )


class ValueDataModule(LightningDataModule):
    """Labelled demonstrations, split into training and validation by episode.

    What the network's frozen part makes of a frame is computed once, before the first epoch, and kept in memory; or,
    for more frames than memory holds, they are streamed from disk in every epoch. Failed episodes have no target: they
    are only held out, for the success/failure AUROC; of a stream no more of them than successes. Episodes without an
    instruction are left out.

    Args:
        dataset: folders or files of episodes.
        labels: for each of them, the parquet that ``feat2go label`` wrote.
        validation_share: of the successful episodes of each data set, held out; at least one of each.
        batch_size: frames in a training batch.
        max_memory_gb: limit on what is kept of the frames, in GB; of no effect on a stream.
        seed: of the split and of the order of a stream.
        cameras: names of those whose frames are trained on; by default the first one only. Validation looks through
            the first of them.
        streaming: read frames from disk when they are needed.
        frames_per_episode: of a stream, random frames that an epoch takes of each episode, through one random camera.
        pool_size: of a stream, episodes whose frames are in memory together and shuffled.
        num_workers: of a stream, processes that decode; each has its own pool.
        skip_damaged: leave out episodes that can't be read, naming them, rather than stop.

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
        cameras: list[str] | None = None,
        streaming: bool = False,
        frames_per_episode: int = 16,
        pool_size: int = 64,
        num_workers: int = 0,
        skip_damaged: bool = False,
    ) -> None:
        super().__init__()
        if not dataset or len(dataset) != len(labels):
            raise ValueError(
                f"each data set needs its labels; got {len(dataset)} data sets and {len(labels)} of labels"
            )
        if not 0 < validation_share < 1:
            raise ValueError(f"validation_share must be between 0 and 1, got {validation_share}")
        counts = {"batch_size": batch_size, "frames_per_episode": frames_per_episode, "pool_size": pool_size}
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        self._dataset = dataset
        self._labels = labels
        self._validation_share = validation_share
        self._batch_size = batch_size
        self._max_memory_gb = max_memory_gb
        self._seed = seed
        self._cameras: list[str | None] = [*cameras] if cameras else [None]
        self._streaming = streaming
        self._frames_per_episode = frames_per_episode
        self._pool_size = pool_size
        self._num_workers = num_workers
        self._skip_damaged = skip_damaged
        self._episodes: list[LabelledEpisode] = []
        self._training: list[int] = []
        self._validation: list[int] = []
        self._prepared: dict[tuple[int, str | None], EpisodeBatch] = {}

    def setup(self, stage: str) -> None:
        """Read labels and episodes, without their frames, and split them."""
        if self._episodes:
            return
        for path, labels in zip(self._dataset, self._labels, strict=True):
            first = len(self._episodes)
            self._episodes += _labelled_episodes(path, labels, self._skip_damaged)
            numbers = range(first, len(self._episodes))
            successes = [number for number in numbers if self._episodes[number][0].success]
            places = held_out(len(successes), self._validation_share, self._seed)
            validation = {successes[place] for place in places}
            self._training += sorted(set(successes) - validation)
            self._validation += sorted(validation | self._failures(set(numbers) - set(successes), len(validation)))
        require_split((episode.seed for episode, _ in self._episodes), ("train", "development"), "a value model")

    def _failures(self, failures: set[int], num_successes: int) -> set[int]:
        """Those to validate with: all, but of a stream no more than there are successes."""
        if not self._streaming or len(failures) <= num_successes:
            return failures
        order = torch.randperm(len(failures), generator=generator(self._seed, "held-out failures"))
        return {sorted(failures)[place] for place in order[:num_successes].tolist()}

    def train_dataloader(self) -> Any:
        if self._streaming:
            return self._stream()
        dataset = FrameDataset([batch for camera in self._cameras for batch in self._prepare(self._training, camera)])
        return DataLoader(dataset, self._batch_size, shuffle=True, collate_fn=_identity)

    def val_dataloader(self) -> DataLoader[EpisodeBatch]:
        return self._whole_episodes(self._validation)

    def predict_dataloader(self) -> DataLoader[EpisodeBatch]:
        """All episodes, whole."""
        return self._whole_episodes(range(len(self._episodes)))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """What was streamed is prepared here, on the device; the rest has been."""
        return replace(batch, prepared=prepare_frames(self._network(), batch.prepared)) if self._streaming else batch

    def _stream(self) -> FrameLoader:
        trainer: Any = self.trainer
        stream = FrameStream(
            [self._episodes[number] for number in self._training],
            self._cameras,
            self._batch_size,
            self._frames_per_episode,
            self._pool_size,
            self._seed,
            trainer.global_rank,
            trainer.world_size,
        )
        return FrameLoader(stream, self._num_workers, first_epoch=trainer.current_epoch)

    def _whole_episodes(self, numbers: Sequence[int]) -> DataLoader[EpisodeBatch]:
        camera = self._cameras[0]
        episodes: Any = (
            EpisodeFiles(self._episodes, numbers, camera) if self._streaming else self._prepare(numbers, camera)
        )
        return DataLoader(
            episodes,
            batch_size=None,
            collate_fn=_identity,
            num_workers=self._num_workers if self._streaming else 0,
        )

    def _network(self) -> Any:
        trainer: Any = self.trainer
        return trainer.lightning_module.network

    def _prepare(self, numbers: Sequence[int], camera: str | None) -> list[EpisodeBatch]:
        todo = [number for number in numbers if (number, camera) not in self._prepared]
        if not todo:
            return [self._prepared[number, camera] for number in numbers]
        trainer: Any = self.trainer
        prepare = FramePreparation(self._network())
        with progress_bar("preparing frames", len(todo), enabled=trainer.is_global_zero) as update:
            for done, number in enumerate(todo, start=1):
                episode, target = self._episodes[number]
                prepared = prepare(torch.from_numpy(np.asarray(episode.view(camera)[:])))
                self._require_memory(prepared)
                self._prepared[number, camera] = EpisodeBatch(
                    number, episode.uid, prepared, episode.instruction, episode.success, target
                )
                update(done, episode.uid)
        return [self._prepared[number, camera] for number in numbers]

    def _require_memory(self, prepared: Tensor) -> None:
        num_frames = len(self._cameras) * sum(len(target) for _, target in self._episodes)
        needed_gb = num_frames * prepared[0].nbytes / 1e9
        if needed_gb > self._max_memory_gb:
            raise ValueError(
                f"{num_frames} frames of {prepared[0].nbytes / 1e3:.0f} kB need {needed_gb:.1f} GB, more than "
                f"max_memory_gb={self._max_memory_gb:g}: raise it, set streaming=true, take fewer episodes, or an "
                "encoder with fewer or narrower patches"
            )


def _labelled_episodes(path: str, labels: str, skip_damaged: bool) -> list[LabelledEpisode]:
    """Each episode with its target float32 (T,), NaN where it failed."""
    targets = read_labels(labels)
    labelled = []
    num_silent = 0
    for whole in open_dataset(path, skip_damaged):
        if not whole.instruction.strip():
            num_silent += 1
            continue
        # A large data set has gigabytes of actions, which nothing here looks at.
        episode = replace(whole, actions=np.empty((len(whole) - 1, 0), np.float32), state=None, milestones=None)
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
    if num_silent:
        log.warning("%d episodes of %s have no instruction and are left out", num_silent, path)
    return labelled


def _identity(batch: T) -> T:
    return batch
