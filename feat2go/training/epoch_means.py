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
        self._sums: dict[str, tuple[Tensor, float]] = {}

    def add(self, metrics: Mapping[str, Tensor | float], weight: float = 1.0) -> None:
        """What a batch reports.

        Args:
            metrics: scalars, which stay on their device.
            weight: how much the batch counts. Of one that does not count at all, a number need not be one.
        """
        for name, value in metrics.items():
            total, count = self._sums.get(name, (torch.zeros(()), 0.0))
            counted = torch.as_tensor(value).detach().float() * weight if weight else torch.zeros(())
            self._sums[name] = (counted + total, count + weight)

    def compute(self) -> dict[str, float]:
        """Name -> mean, NaN where nothing counted; the next epoch begins.

        Every process must call, after it was given the same names.
        """
        sums, self._sums = self._sums, {}
        pairs = [[float(total), count] for total, count in sums.values()]
        totals = global_sum(torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2))
        return dict(zip(sums, (totals[:, 0] / totals[:, 1]).tolist(), strict=True))
