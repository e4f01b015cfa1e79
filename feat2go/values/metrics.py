"""How good a value model is on held-out episodes. Each metric is averaged over episodes, whatever their length.

Under several processes a sampler may repeat episodes to fill up; an episode that was seen twice counts once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from feat2go.core.ordering import pair_accuracy, voc


class EpisodeMetric(Metric):
    """Gathers a row of ``num_numbers`` numbers for each episode."""

    full_state_update = False
    num_numbers = 1
    row: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("row", default=[], dist_reduce_fx="cat")

    def record(self, episode: int, *numbers: float) -> None:
        """Keep the numbers of an episode, which is known by its index in the validation set."""
        # Flat, as the empty tensor that torchmetrics puts in for a process without episodes: gathering needs one shape.
        self.row.append(torch.tensor([episode, *numbers], device=self.device))

    def rows(self) -> Tensor:
        """float32 (E, numbers), one row for each episode that was seen."""
        if not len(self.row):
            return torch.zeros(0, self.num_numbers)
        rows = dim_zero_cat(self.row).reshape(-1, 1 + self.num_numbers)
        first = {int(episode): index for index, episode in reversed(list(enumerate(rows[:, 0])))}
        return rows[sorted(first.values()), 1:]

    def compute(self) -> Tensor:
        """The mean over episodes, NaN if there were none."""
        return self.rows().mean()


class VOC(EpisodeMetric):
    """Spearman's correlation of the predicted values with time."""

    higher_is_better = True

    def update(self, episode: int, values: Tensor) -> None:
        """Values (T,) of all frames of an episode, in order."""
        self.record(episode, voc(values))


class PairAccuracy(EpisodeMetric):
    """Share of the frame pairs of which the later one has the higher value."""

    higher_is_better = True

    def update(self, episode: int, values: Tensor) -> None:
        """Values (T,) of all frames of an episode, in order."""
        self.record(episode, pair_accuracy(values))


class MAE(EpisodeMetric):
    """Mean absolute error against the progress target."""

    higher_is_better = False

    def update(self, episode: int, values: Tensor, target: Tensor) -> None:
        """Values and target (T,) of an episode."""
        self.record(episode, float((values - target).abs().mean()))


class TerminalAUROC(EpisodeMetric):
    """Probability that the last frame of a success has a higher value than that of a failure; ties count half."""

    higher_is_better = True
    num_numbers = 2

    def update(self, episode: int, terminal_value: float, success: bool) -> None:
        """The value of an episode's last frame, and how it ended."""
        self.record(episode, terminal_value, float(success))

    def compute(self) -> Tensor:
        """NaN unless there are both successes and failures."""
        rows = self.rows()
        if not len(rows):
            return torch.tensor(torch.nan)
        success = rows[:, 1] > 0.5
        difference = rows[success, 0][:, None] - rows[~success, 0][None]
        return (torch.sign(difference).mean() + 1) / 2
