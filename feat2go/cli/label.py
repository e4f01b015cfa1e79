"""``feat2go label DATASET``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from feat2go.cli.parsing import run_function
from feat2go.core.protocols import TaskClustering
from feat2go.core.slots import Clustering, Encoder
from feat2go.data import open_dataset
from feat2go.encoders.cache import CachedEncoder
from feat2go.progress import label_episodes
from feat2go.progress.label import LabelSummary
from feat2go.progress.structural import Scope
from feat2go.rollouts.progress_bar import progress_bar


def run(words: Sequence[str]) -> None:
    """Label a dataset; see :func:`label_dataset`."""
    run_function(label_dataset, words, positional=["dataset"])


def label_dataset(
    dataset: str,
    encoder: Callable[[], Encoder],
    clustering: Clustering,
    beta: float = 0.0,
    scope: Scope = "stage",
    output: str | None = None,
    pictures: str | None = None,
    camera: str | None = None,
    cache: bool = True,
    ray: str | None = None,
    ray_workers: int = 2,
    ray_gpus: float = 0.0,
    skip_damaged: bool = False,
) -> None:
    """Turn demonstrations into progress targets: a parquet with episode, frame, stage, similarity and target.

    Args:
        dataset: folder or file of episodes, in any of the formats that ``feat2go list formats`` shows.
        encoder: the visual world model whose patch features are compared.
        clustering: cuts an episode into stages.
        beta: weight of the patches' distance in the similarity; 0 is plain cosine.
        scope: ``stage`` or ``episode``: over what the similarity is normalised.
        output: the parquet; by default ``labels.parquet`` in or beside the dataset.
        pictures: folder for one picture per episode; none by default.
        camera: through which episodes are seen; by default the first.
        cache: keep the features on disk for the next run. A large data set has more of them than a disk holds.
        ray: address of a Ray cluster that labels shards of the episodes, or ``local`` for this machine's own; needs
            ``feat2go[ray]``. Its machines must see the dataset and the output's folder under the same paths.
        ray_workers: processes that label, each with an encoder of its own.
        ray_gpus: that each of them gets; below 1 shares one.
        skip_damaged: leave out episodes that can't be read, naming them, rather than stop.
    """
    source = Path(dataset)
    beside = source / "labels.parquet" if source.is_dir() else source.with_suffix(".labels.parquet")
    target = Path(output) if output else beside
    if ray is not None:
        if skip_damaged:
            raise ValueError("skip_damaged doesn't go with ray: shards are counted in episodes of the dataset")
        if isinstance(clustering, TaskClustering):
            raise ValueError(
                f"{type(clustering).__name__} looks at all episodes of a task together, and with ray each worker sees "
                "a shard of them: label without ray, or take a clustering that looks at one episode, such as trend"
            )
        # Only here: the module names what a worker does, and a label without Ray needs none of it.
        from feat2go.cli.label_shards import LabelJob, label_on_ray

        folder = Path(pictures) if pictures else None
        job = LabelJob(source, encoder, clustering, beta, scope, folder, camera, cache)
        _report(target, label_on_ray(job, ray, target, ray_workers, ray_gpus))
        return
    episodes = open_dataset(source, skip_damaged)
    built = encoder()
    cached = CachedEncoder(built)
    count = itertools.count(1)
    with progress_bar(f"labelling {source}", len(episodes)) as update, cached.writing_behind():
        summary = label_episodes(
            episodes,
            cached if cache else built,
            clustering,
            target,
            beta=beta,
            scope=scope,
            pictures=Path(pictures) if pictures else None,
            on_episode=lambda episode: update(next(count), episode.uid),
            camera=camera,
        )
    _report(target, summary)


def _report(target: Path, summary: LabelSummary) -> None:
    print(f"{target}: {summary.num_labelled} episodes labelled, {summary.num_skipped} failures left out")
