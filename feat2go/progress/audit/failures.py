"""Does a target know failure? Events put into successful episodes, and values read from other episodes' labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NUM_NEIGHBOURS = 5
# Frames of a task that values are read from, at most; more change little.
MAX_MEMORY = 600
# Width that features are projected to before they are compared.
SKETCH_WIDTH = 32

# Where in an episode an event happens and what it falls back to, as shares of its length.
EVENT_SHARE, BACK_SHARE = 0.7, 0.2
EVENTS = ("drop", "stall", "regress", "retry")
FAILURES = ("drop", "stall", "regress")


def event_order(event: str, num_frames: int) -> np.ndarray:
    """The frames of a successful episode in an order that shows an event, int64 (n,).

    Up to frame e (at 70 % of the episode) everything goes well. Then,

    - ``"drop"``: at once everything is as at frame s (at 20 %), and stays so;
    - ``"stall"``: nothing moves any more;
    - ``"regress"``: it runs backward to s;
    - ``"retry"``: it runs backward to s, and then forward to the end: a success after all.

    Raises:
        ValueError: for another event.
    """
    last = num_frames - 1
    e, s = round(EVENT_SHARE * last), round(BACK_SHARE * last)
    forward, backward = np.arange(e + 1), np.arange(e, s - 1, -1)
    rest = num_frames - len(forward)
    orders = {
        "drop": np.r_[forward, np.full(rest, s)],
        "stall": np.r_[forward, np.full(rest, e)],
        "regress": np.r_[forward, backward],
        "retry": np.r_[forward, backward, np.arange(s, num_frames)],
    }
    if event not in orders:
        raise ValueError(f"unknown event '{event}'; known: {', '.join(orders)}")
    order: np.ndarray = orders[event].astype(np.int64)
    return order


def event_frame(num_frames: int) -> int:
    """The last frame before an event of :func:`event_order`."""
    return round(EVENT_SHARE * (num_frames - 1))


def auroc(positives: Sequence[float] | np.ndarray, negatives: Sequence[float] | np.ndarray) -> float:
    """Probability that a positive scores higher than a negative, a tie counting half; NaN without either.

    Source: the Mann-Whitney form of the area under the ROC curve.
    """
    above, below = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)
    if not len(above) or not len(below):
        return float("nan")
    return float((np.sign(above[:, None] - below[None]).mean() + 1) / 2)


class Neighbours:
    """For every frame of a task's episodes, the most similar frames of its other successful episodes.

    A target is defined against an episode's own end, which a failure does not have. Reading a frame's value from the
    most similar frames of labelled episodes makes any target a value function without training. Similarity is the mean
    patch cosine of features that were projected to 32 dimensions at random, which keeps it to about 0.01.

    Args:
        features: (T_e, P, D) of each successful episode. May be read when it is indexed.
        queries: of further episodes, whose values are to be read; they lend none.
    """

    def __init__(self, features: Sequence[Tensor], queries: Sequence[Tensor] = ()) -> None:
        sketches = [_sketch(track) for track in features]
        lengths = [len(sketch) for sketch in sketches]
        stride = -(-sum(lengths) // MAX_MEMORY)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        kept = np.arange(0, len(owner), stride)
        self._owner, self._kept = owner[kept], kept
        memory = torch.cat(sketches)[kept] if sketches else torch.empty(0, 0)
        self._nearest = [self._find(sketch @ memory.T, number) for number, sketch in enumerate(sketches)]
        self._nearest_of_queries = [self._find(_sketch(track) @ memory.T, -1) for track in queries]

    def values(self, targets: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Targets (T_e,) of the successful episodes -> the values of their frames, float64 (T_e,), read from others."""
        return self._read(self._nearest, targets)

    def query_values(self, targets: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The same for the further episodes."""
        return self._read(self._nearest_of_queries, targets)

    def _find(self, similarity: Tensor, own: int) -> np.ndarray:
        similarity[:, torch.from_numpy(self._owner == own)] = -torch.inf
        num_others = int((self._owner != own).sum())
        chosen = similarity.topk(min(NUM_NEIGHBOURS, num_others), dim=1).indices
        return chosen.numpy()

    def _read(self, nearest: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> list[np.ndarray]:
        pool = np.concatenate(targets).astype(np.float64)[self._kept]
        return [pool[rows].mean(axis=1) if rows.shape[1] else np.full(len(rows), np.nan) for rows in nearest]


def _sketch(features: Tensor) -> Tensor:
    """(T, P, D) -> unit vectors float32 (T, P * width) whose products are about the mean patch cosines."""
    width = features.shape[-1]
    if width > SKETCH_WIDTH:
        generator = torch.Generator().manual_seed(0)
        projection = torch.randn(width, SKETCH_WIDTH, generator=generator)
        features = torch.stack([frame.float() @ projection for frame in features])
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    return torch.nn.functional.normalize(unit.flatten(1), dim=-1)
