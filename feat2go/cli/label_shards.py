"""``feat2go label --ray ADDRESS``: shards of a dataset, labelled by the workers of a Ray cluster."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feat2go.cli.allocator import keep_freed_memory
from feat2go.core.slots import Clustering, Encoder
from feat2go.data import open_dataset
from feat2go.encoders.cache import CachedEncoder
from feat2go.progress.label import LabelSummary, label_episodes, label_metadata
from feat2go.progress.structural import Scope
from feat2go.progress.table import join_labels, read_label_metadata
from feat2go.rollouts.progress_bar import progress_bar

EPISODES_PER_SHARD = 64


@dataclass(frozen=True)
class LabelJob:
    """What ``feat2go label`` was asked for, as it is sent to the workers; see :func:`feat2go.cli.label.label_dataset`.

    Attributes:
        dataset: every worker must see it under this path, and the folder of the parts as well.
    """

    dataset: Path
    encoder: Callable[[], Encoder]
    clustering: Clustering
    beta: float
    scope: Scope
    pictures: Path | None
    camera: str | None
    cache: bool


class ShardLabeller:
    """A worker: it builds the encoder once, then labels shards as ``feat2go label`` labels a whole dataset.

    Args:
        job: what to label, and with what.
        folder: gets one parquet per shard, whole or not at all.
        size: episodes per shard.
    """

    def __init__(self, job: LabelJob, folder: Path, size: int) -> None:
        # Of this process, which the command line didn't start.
        keep_freed_memory()
        encoder = job.encoder()
        self._job = job
        self._folder = folder
        self._size = size
        self._episodes = open_dataset(job.dataset)
        self._cached = CachedEncoder(encoder)
        self._encoder = self._cached if job.cache else encoder

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label the shard with number ``row["id"]``, unless that was done before in the same way."""
        job, number = self._job, int(row["id"])
        part = part_path(self._folder, number)
        places = range(number * self._size, min((number + 1) * self._size, len(self._episodes)))
        wanted = label_metadata(self._encoder, job.clustering, job.beta, job.scope, job.camera)
        if part.is_file() and read_label_metadata(part) == wanted:
            return {"num_labelled": _num_episodes(part), "num_episodes": len(places)}
        with self._cached.writing_behind():
            summary = label_episodes(
                (self._episodes[place] for place in places),
                self._encoder,
                job.clustering,
                part,
                beta=job.beta,
                scope=job.scope,
                pictures=job.pictures,
                camera=job.camera,
                may_be_empty=True,
            )
        return {"num_labelled": summary.num_labelled, "num_episodes": len(places)}


def label_on_ray(job: LabelJob, address: str, target: Path, num_workers: int, num_gpus: float) -> LabelSummary:
    """Label shard by shard, then join the parts: the same file, row for row, as one process writes.

    After an interruption, the same call goes on with the shards that are missing.

    Args:
        job: what to label, and with what.
        address: of a Ray cluster, or ``local`` for one on this machine.
        target: the parquet.
        num_workers: processes that label, each with its own encoder.
        num_gpus: that each of them gets.

    Raises:
        ModuleNotFoundError: without Ray, with the command that mends it.
    """
    ray = _import_ray()
    num_episodes, size = len(open_dataset(job.dataset)), EPISODES_PER_SHARD
    num_shards = -(-num_episodes // size)
    folder = _parts_folder(job.dataset.absolute(), target.absolute(), num_episodes, size)
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, **_local_resources(address, num_workers))
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        shards = ray.data.range(num_shards, override_num_blocks=num_shards).map(
            ShardLabeller,
            fn_constructor_args=(job, folder, size),
            concurrency=num_workers,
            num_gpus=num_gpus or None,
        )
        num_labelled = done = 0
        with progress_bar(f"labelling {job.dataset}", num_episodes) as update:
            for row in shards.iter_rows():
                num_labelled += row["num_labelled"]
                done += row["num_episodes"]
                update(done, "")
    finally:
        ray.shutdown()
    join_labels([part_path(folder, number) for number in range(num_shards)], target)
    shutil.rmtree(folder)
    return LabelSummary(num_labelled, num_episodes - num_labelled)


def part_path(folder: Path, number: int) -> Path:
    """Where the labels of a shard are."""
    return folder / f"{number:07d}.parquet"


def _parts_folder(dataset: Path, target: Path, num_episodes: int, size: int) -> Path:
    digest = hashlib.sha256(f"{dataset} {num_episodes} {size}".encode()).hexdigest()[:12]
    return target.with_name(f"{target.stem}.{digest}.parts")


def _num_episodes(part: Path) -> int:
    import pyarrow.parquet as pq

    # One row group per episode.
    return int(pq.ParquetFile(part).num_row_groups)


def _local_resources(address: str, num_workers: int) -> dict[str, Any]:
    if address != "local":
        return {}
    # One more than label, for what reads the shards' numbers.
    return {"num_cpus": max(num_workers + 1, len(os.sched_getaffinity(0))), "include_dashboard": False}


def _import_ray() -> Any:
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("--ray needs Ray: pip install 'feat2go[ray]'") from error
    return ray
