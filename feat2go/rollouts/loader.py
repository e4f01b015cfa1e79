"""Minibatches of a fresh rollout, with a length."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from feat2go.core.types import PolicyBatch


class RolloutLoader:
    """One ``iter()`` collects one rollout and goes over it in shuffled minibatches.

    It has a length: from a loader without one, Lightning fetches a batch ahead, and the next rollout would be collected
    with the policy of one update ago. It is a generator: Lightning's early ``iter()`` collects nothing. It is no
    ``DataLoader``: worker processes would act with a frozen copy of the policy.

    Args:
        collect: gives the rows of a new rollout.
        num_epochs: passes over the rollout, each shuffled anew.
        num_minibatches: optimiser steps per pass.
        generator: shuffles.
    """

    def __init__(
        self, collect: Callable[[], PolicyBatch], num_epochs: int, num_minibatches: int, generator: torch.Generator
    ) -> None:
        if num_epochs < 1 or num_minibatches < 1:
            raise ValueError(f"num_epochs and num_minibatches are at least 1; got {num_epochs} and {num_minibatches}")
        self._collect = collect
        self._num_epochs = num_epochs
        self._num_minibatches = num_minibatches
        self._generator = generator

    def __len__(self) -> int:
        return self._num_epochs * self._num_minibatches

    def __iter__(self) -> Iterator[PolicyBatch]:
        batch = self._collect()
        if len(batch) < self._num_minibatches:
            raise ValueError(
                f"a rollout of {len(batch)} decisions can't be cut into {self._num_minibatches} minibatches: "
                "collect more (num_steps, num_envs) or cut less (num_minibatches)"
            )
        for _ in range(self._num_epochs):
            order = torch.randperm(len(batch), generator=self._generator)
            for rows in order.tensor_split(self._num_minibatches):
                yield batch.select(rows)
