"""Stages of all episodes of a task, by clusterings that look at one episode and by those that look at all."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from feat2go.core.protocols import Clustering
from feat2go.core.types import Stages


def segment_episodes(clustering: Clustering, features: Sequence[Tensor]) -> list[Stages]:
    """Stages of every episode of one task.

    A clustering with a method ``segment_all(features) -> list[Stages]`` (``core.protocols.TaskClustering``) sees all
    episodes at once, so that their stages can mean the same; any other cuts each on its own.

    Args:
        clustering: with ``segment``, and perhaps with ``segment_all``.
        features: (T_e, P, D) of each episode. May be read when it is indexed.
    """
    segment_all = getattr(clustering, "segment_all", None)
    if segment_all is not None:
        found: list[Stages] = segment_all(features)
        return found
    return [clustering.segment(track) for track in features]
