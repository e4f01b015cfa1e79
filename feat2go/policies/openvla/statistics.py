"""The statistics of the data sets that a checkpoint was trained on, and what they do to actions and proprioception."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STATISTICS_FILE = "dataset_statistics.json"
# Which two rows of the statistics mean -1 and 1.
BOUNDS = {"q99": ("q01", "q99"), "bounds": ("min", "max")}


class Statistics:
    """Un-normalises actions and normalises proprioception, data set by data set.

    Args:
        datasets: data set -> ``{"action": {"q01": [...], ...}, "proprio": {...}}``.
        bounds: ``q99`` or ``bounds``, see ``BOUNDS``.
        epsilon: added to the range; 0 in OpenVLA, 1e-8 in OpenVLA-OFT.

    Raises:
        ValueError: for other bounds.
    """

    def __init__(self, datasets: Mapping[str, Any], bounds: str = "q99", epsilon: float = 0.0) -> None:
        if bounds not in BOUNDS:
            raise ValueError(f"unknown normalization '{bounds}'; known: {', '.join(BOUNDS)}")
        self._datasets = dict(datasets)
        self._bounds = bounds
        self._epsilon = epsilon

    @classmethod
    def from_folder(
        cls, folder: Path, config: Mapping[str, Any], bounds: str = "q99", epsilon: float = 0.0
    ) -> Statistics:
        """``dataset_statistics.json``, which replaces ``norm_stats`` of the config."""
        path = folder / STATISTICS_FILE
        datasets = json.loads(path.read_text()) if path.is_file() else config.get("norm_stats") or {}
        return cls(datasets, bounds, epsilon)

    def action_dim(self, dataset: str | None) -> int | None:
        """A of one data set, or of all if they agree.

        Raises:
            ValueError: for an unknown data set.
        """
        actions = [d["action"] for d in self._datasets.values()] if dataset is None else [self._of(dataset, "action")]
        sizes = {len(action["min" if "min" in action else "q01"]) for action in actions}
        return sizes.pop() if len(sizes) == 1 else None

    def unnormalize(self, actions: Tensor, dataset: str | None) -> Tensor:
        """Actions (..., A) in [-1, 1] -> in the data set's own units. Masked dimensions stay as they are.

        Raises:
            ValueError: for an unknown data set, or actions of another size.
        """
        low, high, mask = self._range(dataset, "action", actions)
        values = actions.double()
        values = torch.where(mask, 0.5 * (values + 1) * (high - low + self._epsilon) + low, values)
        return values.to(actions.dtype)

    def normalize(self, actions: Tensor, dataset: str | None) -> Tensor:
        """Actions (..., A) in the data set's own units -> in [-1, 1], as for training: 0 where the data never change.

        Raises:
            ValueError: for an unknown data set, or actions of another size.
        """
        low, high, mask = self._range(dataset, "action", actions)
        values = actions.double()
        scaled = (2 * (values - low) / (high - low + 1e-8) - 1).clamp(-1, 1)
        statistics = self._of(dataset, "action")
        rows = BOUNDS["bounds" if "min" in statistics else "q99"]
        lowest, highest = (values.new_tensor(statistics[row]) for row in rows)
        return torch.where(mask, scaled, values).masked_fill(lowest == highest, 0.0).to(actions.dtype)

    def is_scaled(self, dataset: str | None) -> Tensor:
        """Bool (A,): which dimensions of an action the statistics scale."""
        statistics = self._of(dataset, "action")
        return torch.tensor(statistics.get("mask", [True] * len(statistics["min" if "min" in statistics else "q01"])))

    def normalize_proprio(self, state: Tensor, dataset: str | None) -> Tensor:
        """State (..., S) -> float32 in [-1, 1]. Masked dimensions are clipped only.

        Raises:
            ValueError: for an unknown data set, or a state of another size.
        """
        low, high, mask = self._range(dataset, "proprio", state)
        values = state.double()
        values = torch.where(mask, 2 * (values - low) / (high - low + self._epsilon) - 1, values)
        return values.clamp(-1, 1).float()

    def _range(self, dataset: str | None, field: str, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        statistics = self._of(dataset, field)
        low, high = (
            torch.tensor(statistics[row], dtype=torch.float64, device=values.device) for row in BOUNDS[self._bounds]
        )
        if values.shape[-1] != len(low):
            raise ValueError(f"{field}: the statistics have {len(low)} dimensions; got {tuple(values.shape)}")
        mask = torch.tensor(statistics.get("mask", [True] * len(low)), device=values.device)
        return low, high, mask

    def _of(self, dataset: str | None, field: str) -> Mapping[str, Any]:
        known = ", ".join(self._datasets) or "none"
        if dataset is None and len(self._datasets) == 1:
            dataset = next(iter(self._datasets))
        if dataset is None:
            raise ValueError(f"the checkpoint has statistics of several data sets or none, name one; known: {known}")
        if dataset not in self._datasets:
            raise ValueError(f"the checkpoint has no statistics of data set '{dataset}'; known: {known}")
        if field not in self._datasets[dataset]:
            raise ValueError(f"the statistics of data set '{dataset}' have no {field}")
        return self._datasets[dataset][field]  # type: ignore[no-any-return]
