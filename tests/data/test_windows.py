import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from feat2go.data import DemonstrationRows, EpisodeWriter, FolderDataset, windows


@pytest.fixture
def dataset(tmp_path, info, make_episode):
    writer = EpisodeWriter(tmp_path, info)
    for seed in range(3):
        writer.write(make_episode(seed, num_frames=4 + seed, success=seed != 1, instruction=f"task {seed}"))
    return FolderDataset(tmp_path)


def test_a_row_is_a_frame_and_the_actions_from_it_on(dataset, make_episode):
    rows = DemonstrationRows(dataset, chunk=3)
    # Successes only, 4 and 6 frames, and nothing is done in the last frame.
    assert len(rows) == 3 + 5
    episode = make_episode(2, num_frames=6)
    row = rows[3 + 1]
    assert row.observation.instruction == ["task 2"]
    assert set(row.observation.images) == {"base", "hand"}
    np.testing.assert_array_equal(row.observation.images["hand"], episode.frames["hand"][1:2])
    np.testing.assert_array_equal(row.observation.state, episode.state[1:2])
    np.testing.assert_array_equal(row.actions[0], episode.actions[1:4])
    assert row.mask.tolist() == [[True, True, True]]


def test_actions_after_the_end_are_masked(dataset, make_episode):
    row = DemonstrationRows(dataset, chunk=3)[2]
    np.testing.assert_array_equal(row.actions[0, :1], make_episode(0, num_frames=4).actions[3 - 1 :])
    assert (row.actions[0, 1:] == 0).all()
    assert row.mask.tolist() == [[True, False, False]]


def test_batches_of_a_data_loader(dataset):
    rows = DemonstrationRows(dataset, chunk=2)
    batch = next(iter(DataLoader(rows, batch_size=8, collate_fn=rows.collate)))
    assert len(batch) == len(batch.observation) == 8
    assert batch.actions.shape == (8, 2, 3)
    assert batch.actions.dtype == torch.float32
    assert batch.mask.dtype == torch.bool
    assert batch.mask.shape == (8, 2)
    assert batch.observation.images["base"].dtype == torch.uint8
    assert batch.observation.images["base"].shape == (8, 8, 8, 3)
    assert batch.to("meta").actions.device.type == "meta"


@pytest.mark.parametrize("max_bytes", [0, windows.MEMORY_BYTES])
def test_rows_do_not_depend_on_whether_frames_are_kept(dataset, monkeypatch, max_bytes):
    expected = DemonstrationRows(dataset, chunk=2)
    monkeypatch.setattr(windows.in_memory, "__defaults__", (max_bytes,))
    rows = pickle.loads(pickle.dumps(DemonstrationRows(dataset, chunk=2)))
    kept = all(isinstance(frames, np.ndarray) for frames in rows._episodes[0].frames.values())
    assert kept == (max_bytes > 0)
    for index in range(len(rows)):
        for camera in ("base", "hand"):
            assert torch.equal(rows[index].observation.images[camera], expected[index].observation.images[camera])


def test_only_failures_are_refused(make_episode):
    with pytest.raises(ValueError, match="none of 2 episodes succeeded"):
        DemonstrationRows([make_episode(seed, success=False) for seed in range(2)], chunk=1)


def test_actions_out_of_range_are_refused(make_episode):
    with pytest.raises(ValueError, match=r"episode 'Fake-v1-0' leave \[-1, 1\]"):
        DemonstrationRows([make_episode(actions=np.full((4, 3), -1.01, np.float32))], chunk=1)


def test_a_chunk_has_actions(make_episode):
    with pytest.raises(ValueError, match="chunk is at least 1; got 0"):
        DemonstrationRows([make_episode()], chunk=0)
