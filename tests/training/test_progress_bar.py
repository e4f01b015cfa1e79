"""The progress bar takes in a batch now and then, and always an epoch's last."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from feat2go.training import progress_bar
from feat2go.training.progress_bar import PacedProgressBar


class Line(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_index):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Recorded(PacedProgressBar):
    def __init__(self):
        super().__init__()
        self.completed = []

    def _update(self, progress_bar_id, current, visible=True, hard=False):
        self.completed.append(current)
        super()._update(progress_bar_id, current, visible, hard)


# Seconds from batch to batch, and which of seven are taken in, in each of two epochs.
@pytest.mark.parametrize(
    ("seconds", "completed"), [(0.03, [[1, 5, 7], [4, 7]]), (1.0, [[1, 2, 3, 4, 5, 6, 7]] * 2), (0.0, [[1, 7], [7]])]
)
def test_batches_in_quick_succession_are_passed_over(tmp_path, monkeypatch, seconds, completed):
    now = [100.0]

    def monotonic():
        now[0] += seconds
        return now[0]

    monkeypatch.setattr(progress_bar, "time", SimpleNamespace(monotonic=monotonic))
    bar = Recorded()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[bar],
    )
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(7, 1)))
    assert bar.completed == [count for epoch in completed for count in epoch]
