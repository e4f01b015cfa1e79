"""Which episodes the report shows, and what the value model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from feat2go.core.protocols import ValuePredictor
from feat2go.core.types import Episode, EvaluationRow
from feat2go.data import open_dataset
from feat2go.data.split import held_out
from feat2go.progress import read_labels
from feat2go.report.runs import Demonstrations, Evaluation, Fit, refers_to
from feat2go.report.text import number

NUM_DEMONSTRATIONS = 3
NUM_FAILURES = 2


@dataclass(frozen=True)
class ShownEpisode:
    """An episode with its curves.

    Attributes:
        episode: T frames.
        target: float32 (T,), or None.
        prediction: float32 (T,), or None.
        note: what a reader has to know of it.
    """

    episode: Episode
    target: Tensor | None
    prediction: Tensor | None
    note: str


def shown_demonstrations(
    demonstrations: Demonstrations, fits: Sequence[Fit], predictor: ValuePredictor | None
) -> list[ShownEpisode]:
    """The first few successful demonstrations that the value model was not trained on, if one can tell.

    Args:
        demonstrations: where from.
        fits: among them, the value model's.
        predictor: the value model, or None.

    Raises:
        ValueError: if the episodes or their labels can't be read.
    """
    episodes = open_dataset(demonstrations.path)
    successes = [i for i in range(len(episodes)) if episodes[i].success]
    held_out_places = _held_out_places(demonstrations, fits, len(successes))
    places = range(len(successes)) if held_out_places is None else held_out_places
    note = "may have been trained on" if held_out_places is None else "was not trained on"
    labels = read_labels(demonstrations.labels) if demonstrations.labels else {}
    shown = []
    for place in places[:NUM_DEMONSTRATIONS]:
        episode = episodes[successes[place]]
        track = labels.get(episode.uid)
        target = None if track is None or len(track.target) != len(episode) else track.target
        shown.append(
            ShownEpisode(episode, target, _predict(episode, predictor), f"a demonstration that the value model {note}")
        )
    return shown


def shown_failures(evaluation: Evaluation, image_size: int | None, predictor: ValuePredictor) -> list[ShownEpisode]:
    """The first few failed episodes of which there is a video.

    Args:
        evaluation: where from.
        image_size: side of the pictures before they were enlarged for the video, or None if it isn't known.
        predictor: the value model.

    Raises:
        OSError, RuntimeError: if a video can't be read.
    """
    videos = [(row, evaluation.video_of(row)) for row in evaluation.rows if not row.success_at_end]
    failures = [(row, video) for row, video in videos if video is not None]
    return [
        _shown_failure(evaluation.name, row, video, image_size, predictor) for row, video in failures[:NUM_FAILURES]
    ]


def _shown_failure(
    name: str, row: EvaluationRow, video: Path, image_size: int | None, predictor: ValuePredictor
) -> ShownEpisode:
    frames, fps = read_video(video)
    episode = Episode(
        frames={"video": _shrunk(frames, image_size)},
        instruction=row.instruction,
        actions=np.zeros((len(frames) - 1, 0), np.float32),
        state=None,
        success=row.success_at_end,
        milestones=None,
        uid=f"{name}, seed {row.seed}",
        env_id=row.task,
        seed=row.seed,
        fps=fps,
    )
    end = "reached the goal and lost it again" if row.success_once else "never reached the goal"
    note = (
        f"failed episode, {end}; from its video, one frame per decision, slightly changed by compression (the value of "
        f"the true last frame was {number(row.terminal_value)})"
    )
    return ShownEpisode(episode, None, _predict(episode, predictor), note)


def read_video(path: Path) -> tuple[np.ndarray, float]:
    """Frames uint8 (T, H, W, 3) of a video, and their number per second."""
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    if not frames:
        raise OSError(f"{path} has no frames")
    return np.stack(frames), float(meta["fps"])


def _held_out_places(demonstrations: Demonstrations, fits: Sequence[Fit], num_successes: int) -> list[int] | None:
    """Among the successful episodes; None if no value model's config names these demonstrations."""
    for fit in fits:
        datasets = fit.setting("data", "init_args", "dataset")
        share = fit.setting("data", "init_args", "validation_share")
        seed = fit.setting("data", "init_args", "seed")
        names = datasets if isinstance(datasets, list) else []
        is_known = isinstance(share, float) and isinstance(seed, int) and num_successes > 1
        if is_known and any(refers_to(str(name), demonstrations.path) for name in names):
            return held_out(num_successes, share, seed)
    return None


def _predict(episode: Episode, predictor: ValuePredictor | None) -> Tensor | None:
    if predictor is None:
        return None
    frames = torch.from_numpy(np.array(next(iter(episode.frames.values()))[:]))
    return predictor.predict(frames, [episode.instruction] * len(frames)).float()


def _shrunk(frames: np.ndarray, side: int | None) -> np.ndarray:
    """Means over the whole blocks that a pixel was enlarged to."""
    num_frames, height, width, channels = frames.shape
    if not side or side >= height or height % side or width % (height // side):
        return frames
    block = height // side
    blocks = frames.reshape(num_frames, side, block, width // block, block, channels)
    means: np.ndarray = blocks.mean((2, 4)).round()
    return means.astype(np.uint8)
