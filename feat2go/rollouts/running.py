"""What is needed to bring back the episodes that are under way between two rollouts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class RunningEpisodes:
    """The seeds of N running episodes, and the actions that were carried out in each so far.

    Args:
        seeds: N, of the episodes.
        actions: for each float32 (L, A), what was carried out so far.

    Attributes:
        seeds: N, of the episodes that are running now.
    """

    def __init__(self, seeds: Sequence[int], actions: Sequence[Tensor]) -> None:
        self.seeds = list(seeds)
        self._before = list(actions)
        # Every chunk (N, C, A) since the oldest of the episodes began, and where in them each one begins.
        self._chunks: list[Tensor] = []
        self._begin = [0] * len(self.seeds)

    def advance(self, chunk: Tensor, begun: Sequence[int], seeds: Sequence[int]) -> None:
        """Take in one chunk of actions (N, C, A).

        Args:
            chunk: of all environments.
            begun: the environments in which an episode began after it, because one ended or was lost.
            seeds: of the episodes in ``begun``.
        """
        self._chunks.append(chunk)
        for env, seed in zip(begun, seeds, strict=True):
            self.seeds[env] = seed
            self._before[env] = self._before[env][:0]
            self._begin[env] = len(self._chunks)
        oldest = min(self._begin)
        if oldest:
            del self._chunks[:oldest]
            self._begin = [begin - oldest for begin in self._begin]

    def actions(self) -> list[Tensor]:
        """For each environment float32 (L, A): what was carried out in its running episode."""
        return [
            torch.cat([before, *(chunk[env] for chunk in self._chunks[begin:])])
            for env, (before, begin) in enumerate(zip(self._before, self._begin, strict=True))
        ]
