"""Means over an epoch of what its batches report."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from feat2go.core.distributed import global_sum

# So many reports are kept before they are added up: one by one, that would take longer than the reports themselves.
_MAX_KEPT = 256


class EpochMeans:
    """Means over the batches of an epoch and over all processes, which exchange them once.

    Logged batch by batch, each number would cost Lightning some tenths of a millisecond of bookkeeping in every step,
    and an exchange of its own in the end.
    """

    def __init__(self) -> None:
        # Of what is reported together: the last reports with their weights; sums, and the sum of the weights.
        self._kept: dict[tuple[str, ...], list[tuple[list[Tensor], float]]] = {}
        self._sums: dict[tuple[str, ...], tuple[Tensor, float]] = {}

    def add(self, metrics: Mapping[str, Tensor | float], weight: float = 1.0) -> None:
        """What a batch reports.

        Args:
            metrics: scalars, which stay on their device.
            weight: how much the batch counts. Of one that does not count at all, a number need not be one.
        """
        if not metrics:
            return
        names = tuple(metrics)
        kept = self._kept.setdefault(names, [])
        kept.append(([torch.as_tensor(value).detach() for value in metrics.values()], weight))
        if len(kept) == _MAX_KEPT:
            self._add_up(names)

    def compute(self) -> dict[str, float]:
        """Name -> mean, NaN where nothing counted; the next epoch begins.

        Every process must call, after it was given the same names.
        """
        for names in self._kept:
            self._add_up(names)
        sums, self._sums, self._kept = self._sums, {}, {}
        pairs = [[total, count] for totals, count in sums.values() for total in totals.tolist()]
        exchanged = global_sum(torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2))
        means = (exchanged[:, 0] / exchanged[:, 1]).tolist()
        return dict(zip((name for names in sums for name in names), means, strict=True))

    def _add_up(self, names: tuple[str, ...]) -> None:
        total, count = self._sums.get(names, (torch.zeros(len(names)), 0.0))
        counting = [(values, weight) for values, weight in self._kept[names] if weight]
        self._kept[names] = []
        if counting:
            rows = torch.stack([value.float() for values, _ in counting for value in values]).view(-1, len(names))
            weights = torch.tensor([float(weight) for _, weight in counting], device=rows.device)
            total, count = total.to(rows.device) + weights @ rows, count + sum(weight for _, weight in counting)
        self._sums[names] = total, count
