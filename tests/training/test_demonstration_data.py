from types import SimpleNamespace

import pytest
from torch.utils.data import DistributedSampler

from feat2go.training.demonstration_data import DemonstrationDataModule


class Rows(list):
    """Stands for the frames of the demonstrations: a batch is the list of its rows."""


@pytest.fixture
def make_data(monkeypatch):
    monkeypatch.setattr(DemonstrationDataModule, "_rows", lambda self, episodes: Rows(range(50)))
    monkeypatch.setattr("feat2go.training.demonstration_data.DemonstrationRows.collate", list)

    def make(rank=0, world_size=1):
        data = DemonstrationDataModule(["nowhere"], num_batches=3, batch_size=4)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
        return data

    return make


def test_a_resumed_run_draws_the_rows_that_would_have_come_next(make_data):
    whole, resumed = make_data(), make_data()
    loader = whole.train_dataloader()
    first = list(loader)
    resumed.load_state_dict(whole.state_dict())
    second = list(loader)
    assert list(resumed.train_dataloader()) == second
    assert first != second
    assert [len(batch) for batch in second] == [4, 4, 4]


def test_processes_draw_different_rows_and_as_many_batches_as_one(make_data):
    first, second = (make_data(rank, world_size=2).train_dataloader() for rank in range(2))
    # Else Lightning would replace it, and num_batches would mean nothing.
    assert isinstance(first.sampler, DistributedSampler)
    assert len(first) == len(second) == 3
    assert list(first) != list(second)
