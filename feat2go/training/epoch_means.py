"""Means over an epoch of what its batches report."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from feat2go.core.distributed import global_sum


class EpochMeans:
    """Means over the batches of an epoch and over all processes, which exchange them once.

    Logged batch by batch, each number would cost Lightning some tenths of a millisecond of bookkeeping in every step,
    and an exchange of its own in the end.
    """

    def __init__(self) -> None:
        # Of what is reported together: sums, and the sum of the weights.
        self._sums: dict[tuple[str, ...], tuple[Tensor, float]] = {}

    def add(self, metrics: Mapping[str, Tensor | float], weight: float = 1.0) -> None:
        """What a batch reports.

        Args:
            metrics: scalars, which stay on their device.
            weight: how much the batch counts. Of one that does not count at all, a number need not be one.
        """
        if not metrics:
            return
        values = torch.stack([torch.as_tensor(value).detach().float() for value in metrics.values()])
        total, count = self._sums.get(tuple(metrics), (torch.zeros_like(values), 0.0))
        self._sums[tuple(metrics)] = (total + values * weight if weight else total, count + weight)

    def compute(self) -> dict[str, float]:
        """Name -> mean, NaN where nothing counted; the next epoch begins.

        Every process must call, after it was given the same names.
        """
        sums, self._sums = self._sums, {}
        names = [name for together in sums for name in together]
        pairs = [[total, count] for totals, count in sums.values() for total in totals.tolist()]
        exchanged = global_sum(torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2))
        return dict(zip(names, (exchanged[:, 0] / exchanged[:, 1]).tolist(), strict=True))
