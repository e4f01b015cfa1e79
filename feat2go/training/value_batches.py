"""What value models are trained on and validated with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameBatch:
    """B frames for training.

    Attributes:
        prepared: (B, ...), what the network's ``prepare`` made of them.
        instruction: B sentences.
        target: float32 (B,) in [0, 1].
        place: int64 (B, 2), the episode and the time of each frame; None of a stream.
    """

    prepared: Tensor
    instruction: list[str]
    target: Tensor
    place: Tensor | None = None

    def to(self, device: torch.device) -> FrameBatch:
        """The same batch on another device."""
        place = None if self.place is None else self.place.to(device)
        return FrameBatch(self.prepared.to(device), self.instruction, self.target.to(device), place)


@dataclass(frozen=True)
class EpisodeBatch:
    """One whole episode of T frames, for validation and prediction.

    Attributes:
        index: its place in the data set.
        uid: its name.
        prepared: (T, ...), what the network's ``prepare`` made of its frames.
        instruction: its sentence.
        success: how it ended.
        target: float32 (T,) in [0, 1]; NaN where the episode failed.
    """

    index: int
    uid: str
    prepared: Tensor
    instruction: str
    success: bool
    target: Tensor

    def to(self, device: torch.device) -> EpisodeBatch:
        """The same episode on another device."""
        return replace(self, prepared=self.prepared.to(device), target=self.target.to(device))
