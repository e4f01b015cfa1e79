"""The numbers that a fit has logged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

ENV_STEPS, EPOCH, STEP = "rollout/env_steps", "epoch", "step"


class Series(NamedTuple):
    """Points of a curve without gaps: x and y, both float64 (points,)."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Metrics:
    """The table in ``metrics.csv``; a cell without a number is NaN.

    Attributes:
        columns: name -> float64 (rows,).
        num_damaged: lines that an interruption left incomplete; they are not in the table.
    """

    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    num_damaged: int = 0

    @classmethod
    def read(cls, path: Path) -> Metrics:
        """Read what Lightning's ``CSVLogger`` wrote; no rows if there is no such file.

        Where a run was resumed from an epoch before the last one logged, the later rows count.
        """
        if not path.is_file():
            return cls()
        # Neither metrics' names nor numbers hold commas or quotes, and csv gives up on damaged files.
        complete, _, rest = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
        names, *cells = [line.rstrip("\r").split(",") for line in complete.split("\n")]
        whole = [row for row in cells if len(row) == len(names)]
        table = np.array([[_number(cell) for cell in row] for row in whole], np.float64).reshape(len(whole), len(names))
        if EPOCH in names:
            table = table[_is_current(table[:, names.index(EPOCH)])]
        return cls(dict(zip(names, table.T, strict=True)), len(cells) - len(whole) + bool(rest))

    @property
    def x_label(self) -> str:
        """What the curves run over."""
        return "environment steps" if self.has(ENV_STEPS) else "optimiser steps"

    @property
    def epochs(self) -> tuple[int, int] | None:
        """First and last epoch, or None without any."""
        if not self.has(EPOCH):
            return None
        epoch = self.columns[EPOCH]
        return int(np.nanmin(epoch)), int(np.nanmax(epoch))

    def has(self, name: str) -> bool:
        """Whether there is a finite number in the column."""
        return name in self.columns and bool(np.isfinite(self.columns[name]).any())

    def series(self, name: str) -> Series:
        """The finite values of a column over :attr:`x_label`."""
        if not self.has(name):
            return Series(np.empty(0), np.empty(0))
        x, y = self._x(), self.columns[name]
        is_point = np.isfinite(x) & np.isfinite(y)
        # An epoch that was begun twice has logged some numbers twice; the second counts.
        of_x = dict(zip(x[is_point].tolist(), y[is_point].tolist(), strict=True))
        return Series(np.array(list(of_x)), np.array(list(of_x.values())))

    def last(self, name: str) -> float:
        """The last finite value of a column, or NaN."""
        y = self.series(name).y
        return float(y[-1]) if len(y) else math.nan

    def _x(self) -> np.ndarray:
        num_rows = len(next(iter(self.columns.values())))
        if not self.has(ENV_STEPS):
            return self.columns.get(STEP, np.arange(num_rows, dtype=np.float64))
        # Validation has rows of its own, without the steps of the rollout; the epoch connects the two.
        steps = self.columns[ENV_STEPS]
        epochs = self.columns.get(EPOCH, np.full(num_rows, np.nan))
        rows = list(zip(epochs.tolist(), steps.tolist(), strict=True))
        of_epoch = {epoch: step for epoch, step in rows if math.isfinite(step)}
        return np.array([step if math.isfinite(step) else of_epoch.get(epoch, math.nan) for epoch, step in rows])


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _is_current(epoch: np.ndarray) -> np.ndarray:
    """Bool (rows,): no row behind it has a smaller epoch."""
    return ~(epoch > np.fmin.accumulate(epoch[::-1])[::-1])
