from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler

from feat2go.core import Episode, Observation
from feat2go.core.seeding import episode_seed
from feat2go.data import DatasetError, DatasetInfo, EpisodeWriter
from feat2go.data.windows import DemonstrationBatch
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


def test_processes_share_the_validation_rows_and_what_is_added_counts_for_nothing(monkeypatch):
    actions = torch.arange(5.0).view(5, 1, 1)
    rows = [DemonstrationBatch(Observation({}, None, ["act"]), row[None], torch.ones(1, 1).bool()) for row in actions]
    monkeypatch.setattr(DemonstrationDataModule, "_rows", lambda self, episodes: rows)
    seen = []
    for rank in range(3):
        data = DemonstrationDataModule(["nowhere"], batch_size=1)
        data.trainer, data._validation = SimpleNamespace(global_rank=rank, world_size=3), ["held out"]
        loader = data.val_dataloader()
        # Else Lightning would replace it by one that repeats rows.
        assert isinstance(loader.sampler, DistributedSampler)
        batches = list(loader)
        assert len(batches) == 2
        seen += [float(batch.actions) for batch in batches if batch.mask.any()]
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_damaged_episodes_stop_it_or_are_left_out_on_request(tmp_path):
    writer = EpisodeWriter(tmp_path, DatasetInfo("bar", ("base",), 8, 10.0, 7, 0, ()))
    for number in range(3):
        frames, seed = np.zeros((4, 8, 8, 3), np.uint8), episode_seed("train", number)
        actions = np.zeros((3, 7), np.float32)
        writer.write(Episode({"base": frames}, "go", actions, None, True, None, f"bar-{number}", "bar", seed, 10.0))
    damaged = tmp_path / "episodes" / "000001.h5"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=r"000001\.h5"):
        DemonstrationDataModule([str(tmp_path)]).setup("fit")
    data = DemonstrationDataModule([str(tmp_path)], validation_share=0, skip_damaged=True)
    data.setup("fit")
    assert {episode.uid for episode in data._train} == {"bar-0", "bar-2"}
