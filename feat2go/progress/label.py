"""From recorded episodes to progress labels on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from feat2go import __version__
from feat2go.core.lazy import LazySequence
from feat2go.core.protocols import Clustering, Encoder, TaskClustering
from feat2go.core.types import Episode, ProgressTrack, Stages
from feat2go.progress.ahead import one_ahead
from feat2go.progress.structural import Scope, structural_progress
from feat2go.progress.table import label_writer


@dataclass(frozen=True)
class LabelSummary:
    """What :func:`label_episodes` did.

    Attributes:
        num_labelled: episodes in the file.
        num_skipped: episodes left out because they failed.
    """

    num_labelled: int
    num_skipped: int


def label_episodes(
    episodes: Iterable[Episode],
    encoder: Encoder,
    clustering: Clustering,
    output: str | Path,
    beta: float = 0.0,
    scope: Scope = "stage",
    pictures: str | Path | None = None,
    on_episode: Callable[[Episode], None] | None = None,
    camera: str | None = None,
    may_be_empty: bool = False,
) -> LabelSummary:
    """Write the structural progress target of every successful episode to a parquet file.

    One episode at a time is in memory, seen through one camera, and the frames of the next, which a thread reads.
    Failed episodes are skipped: they have no goal frame to measure progress against. The file appears when all episodes
    are done; after an interruption, an encoder with a feature cache makes the second run short.

    A clustering with ``segment_all`` sees all episodes of a task together before the first is labelled. They are then
    encoded twice, which a feature cache spares.

    Args:
        episodes: with unique uids.
        encoder: frames to patch features.
        clustering: patch features to stages.
        output: the parquet file; columns episode (uid), frame, stage, similarity, target.
        beta: of the patch similarity in the target.
        scope: of the target's min-max, ``"stage"`` or ``"episode"``.
        pictures: a folder for one PNG per episode, or None.
        on_episode: called after each episode, skipped ones too.
        camera: through which episodes are seen; by default the first.
        may_be_empty: write the file even if no episode succeeded; it may be a part of a larger one.

    Raises:
        ValueError: naming the episode, if it can't be labelled or its uid appears twice; or if no episode succeeded.
    """
    metadata = label_metadata(encoder, clustering, beta, scope, camera)
    num_skipped = 0
    labelled: set[str] = set()
    known: dict[str, Stages] = {}
    if isinstance(clustering, TaskClustering):
        episodes = list(episodes)
        known = _segment_tasks([e for e in episodes if e.success], camera, encoder, clustering)
    with label_writer(Path(output), metadata) as append:
        for episode, frames in one_ahead((e, _frames(e, camera) if e.success else None) for e in episodes):
            if frames is None:
                num_skipped += 1
            elif episode.uid in labelled:
                raise ValueError(f"episode '{episode.uid}' appears twice; uids must be unique")
            else:
                stages = known.get(episode.uid)
                append(episode.uid, _label(episode, frames, encoder, clustering, stages, beta, scope, pictures))
                labelled.add(episode.uid)
            if on_episode is not None:
                on_episode(episode)
        if not labelled and not may_be_empty:
            raise ValueError(f"nothing to label: none of {num_skipped} episodes succeeded, and only those have a goal")
    return LabelSummary(len(labelled), num_skipped)


def label_metadata(
    encoder: Encoder, clustering: Clustering, beta: float, scope: Scope, camera: str | None
) -> dict[str, Any]:
    """What labels are made with, as their file says it: two files that agree in this agree in their labels."""
    return {
        "version": __version__,
        "encoder": encoder.fingerprint,
        "clustering": _describe(clustering),
        "beta": beta,
        "scope": scope,
        "camera": camera,
    }


class _Tracks(LazySequence[Tensor]):
    """Features of episodes, encoded when they are read."""

    def __init__(self, episodes: Sequence[Episode], camera: str | None, encoder: Encoder) -> None:
        self._episodes = episodes
        self._camera = camera
        self._encoder = encoder

    def __len__(self) -> int:
        return len(self._episodes)

    def __iter__(self) -> Iterator[Tensor]:
        return map(self._encode, one_ahead(_frames(episode, self._camera) for episode in self._episodes))

    def _read(self, number: int) -> Tensor:
        return self._encode(_frames(self._episodes[number], self._camera))

    def _encode(self, frames: np.ndarray) -> Tensor:
        return self._encoder.encode_episode(torch.from_numpy(frames)).features


def _frames(episode: Episode, camera: str | None) -> np.ndarray:
    return np.asarray(episode.view(camera)[:])


def _segment_tasks(
    episodes: Sequence[Episode], camera: str | None, encoder: Encoder, clustering: TaskClustering
) -> dict[str, Stages]:
    """Uid -> stages; the episodes of one task are seen together."""
    known: dict[str, Stages] = {}
    for task in dict.fromkeys(episode.env_id for episode in episodes):
        members = [episode for episode in episodes if episode.env_id == task]
        try:
            stages = clustering.segment_all(_Tracks(members, camera, encoder))
        except ValueError as error:
            raise ValueError(f"the episodes of '{task}' can't be labelled: {error}") from error
        known |= {episode.uid: own for episode, own in zip(members, stages, strict=True)}
    return known


def _label(
    episode: Episode,
    frames: np.ndarray,
    encoder: Encoder,
    clustering: Clustering,
    stages: Stages | None,
    beta: float,
    scope: Scope,
    pictures: str | Path | None,
) -> ProgressTrack:
    try:
        features = encoder.encode_episode(torch.from_numpy(frames)).features
        stages = stages or clustering.segment(features)
        track = structural_progress(features, stages, beta, scope)
    except ValueError as error:
        raise ValueError(f"episode '{episode.uid}' can't be labelled: {error}") from error
    if len(track.target) != len(frames):
        raise ValueError(f"episode '{episode.uid}' has {len(frames)} frames, but features of {len(track.target)}")
    if pictures is not None:
        _draw(episode, frames, stages, track, Path(pictures))
    return track


def _draw(episode: Episode, frames: np.ndarray, stages: Stages, track: ProgressTrack, folder: Path) -> None:
    # Half a second of matplotlib that labels without pictures do without.
    from feat2go.progress.picture import draw_episode

    name = quote(episode.uid, safe="") + ".png"
    draw_episode(frames, stages, track, f"{episode.uid}: {episode.instruction}", folder / name)


def _describe(part: object) -> dict[str, Any]:
    """Class and plain parameters of an object, as YAML would spell it."""
    cls = type(part)
    plain = {
        name: value
        for name, value in vars(part).items()
        if not name.startswith("_") and isinstance(value, bool | int | float | str | None)
    }
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": plain}
