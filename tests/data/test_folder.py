import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from feat2go.data import DatasetError, DatasetInfo, EpisodeWriter, FolderDataset


@pytest.fixture
def folder(tmp_path, info, make_episode):
    writer = EpisodeWriter(tmp_path, info)
    for seed in range(3):
        writer.write(make_episode(seed, num_frames=4 + seed, success=seed != 1))
    return tmp_path


def episode_file(folder, number=1):
    return folder / "episodes" / f"{number:06d}.h5"


def test_round_trip_is_exact(folder, make_episode, assert_same):
    dataset = FolderDataset(folder)
    assert len(dataset) == 3
    for seed, episode in enumerate(dataset):
        assert_same(episode, make_episode(seed, num_frames=4 + seed, success=seed != 1))
    assert [len(episode) for episode in dataset[1:]] == [5, 6]


def test_round_trip_without_state_and_milestones(tmp_path, info, make_episode, assert_same):
    episode = make_episode(state=None, milestones=None)
    EpisodeWriter(tmp_path, replace(info, state_dim=0)).write(episode)
    assert_same(FolderDataset(tmp_path)[0], episode)


def test_cameras_come_in_the_order_of_the_description(folder):
    assert list(FolderDataset(folder)[0].frames) == ["hand", "base"]


def test_files_have_the_layout_of_maniskill(folder, make_episode):
    episode = make_episode(1, num_frames=5, success=False)
    with h5py.File(episode_file(folder, 1)) as file:
        group = file["traj_0"]
        np.testing.assert_array_equal(group["obs/sensor_data/base/rgb"], episode.frames["base"])
        np.testing.assert_array_equal(group["actions"], episode.actions)
        assert group["success"][:].tolist() == [False] * 4
        assert group["terminated"][:].tolist() == [False] * 4
        assert group["truncated"][:].tolist() == [False] * 3 + [True]
    with h5py.File(episode_file(folder, 2)) as file:
        assert file["traj_0/success"][:].tolist() == [False] * 4 + [True]
        assert file["traj_0/terminated"][:].tolist() == [False] * 4 + [True]
        assert not file["traj_0/truncated"][:].any()


def test_frames_are_read_when_sliced(folder):
    frames = FolderDataset(folder)[0].frames["base"]
    expected = frames[1:3]
    assert expected.shape == (2, 8, 8, 3)
    with h5py.File(episode_file(folder, 0), "r+") as file:
        file["traj_0/obs/sensor_data/base/rgb"][2] = 7
    np.testing.assert_array_equal(frames[1:2], expected[:1])
    assert (frames[2:3] == 7).all()


def test_a_writer_goes_on_where_another_stopped(folder, info, make_episode):
    writer = EpisodeWriter(folder, info)
    assert {uid: record.seed for uid, record in writer.records.items()} == {f"Fake-v1-{s}": s for s in range(3)}
    assert [record.success for record in writer.records.values()] == [True, False, True]
    assert writer.write(make_episode(7)) == episode_file(folder, 3)
    assert [episode.seed for episode in FolderDataset(folder)] == [0, 1, 2, 7]


def test_a_uid_is_written_once(folder, info, make_episode):
    with pytest.raises(ValueError, match="already has an episode with uid 'Fake-v1-1'"):
        EpisodeWriter(folder, info).write(make_episode(1))


KILLED_WRITER = """
import os, signal, sys
import h5py
from feat2go.data import EpisodeWriter, FolderDataset, writer
dataset = FolderDataset(sys.argv[1])
episode = dataset[0]
whole = writer.write_trajectory
def write_and_die(group, episode):
    whole(group, episode)
    group.file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
writer.write_trajectory = write_and_die
fields = {name: getattr(episode, name) for name in episode.__dataclass_fields__} | {"uid": "new"}
EpisodeWriter(sys.argv[1], dataset.info).write(type(episode)(**fields))
"""


def test_an_episode_whose_writer_was_killed_does_not_count(folder, info, make_episode):
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(folder)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((folder / "episodes").iterdir())) == 4
    assert len(FolderDataset(folder)) == 3
    writer = EpisodeWriter(folder, info)
    assert "new" not in writer.records
    writer.write(make_episode(9))
    assert len(FolderDataset(folder)) == 4


def test_an_interrupted_write_leaves_nothing(folder, info, make_episode, monkeypatch):
    def interrupt(group, episode):
        raise KeyboardInterrupt

    monkeypatch.setattr("feat2go.data.writer.write_trajectory", interrupt)
    with pytest.raises(KeyboardInterrupt):
        EpisodeWriter(folder, info).write(make_episode(9))
    assert len(list((folder / "episodes").iterdir())) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("env_id", "Other-v1"), ("cameras", ("base",)), ("image_size", 16), ("fps", 10.0), ("action_dim", 7)],
)
def test_a_folder_of_another_kind_is_refused(folder, info, field, value):
    with pytest.raises(DatasetError, match=rf"dataset\.json: field '{field}' is .*choose another folder"):
        EpisodeWriter(folder, replace(info, **{field: value}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env_id": "Other-v1"}, "env_id is 'Other-v1', not 'Fake-v1'"),
        ({"cameras": ("base",)}, "cameras are"),
        ({"state": None}, "state_dim is 0, not 2"),
        ({"actions": np.zeros((3, 3), np.float32)}, "actions has 3 rows; 5 frames need 4"),
        ({"actions": np.full((4, 3), 1.5, np.float32)}, r"actions leave \[-1, 1\]"),
        ({"actions": np.full((4, 3), np.nan, np.float32)}, r"actions leave \[-1, 1\]"),
        ({"milestones": np.zeros(4, np.int64)}, "milestones has 4 rows; 5 frames need 5"),
    ],
)
def test_an_episode_that_does_not_fit_is_refused(tmp_path, info, make_episode, changes, message):
    with pytest.raises(ValueError, match=message):
        EpisodeWriter(tmp_path, info).write(make_episode(**changes))
    assert len(FolderDataset(tmp_path)) == 0


def test_frames_of_another_size_are_refused(tmp_path, info, make_episode):
    frames = {camera: np.zeros((5, 16, 16, 3), np.uint8) for camera in ("base", "hand")}
    with pytest.raises(ValueError, match=r"frames of camera '\w+' are \(16, 16, 3\), not \(8, 8, 3\)"):
        EpisodeWriter(tmp_path, info).write(make_episode(frames=frames))


def test_a_truncated_file_is_named(folder, info):
    path = episode_file(folder)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DatasetError, match=r"000001\.h5 can't be read: it is cut off"):
        FolderDataset(folder)[1]
    with pytest.raises(DatasetError, match=r"000001\.h5 can't be read"):
        EpisodeWriter(folder, info)


def test_a_damaged_frame_is_named(folder):
    path = episode_file(folder)
    with h5py.File(path) as file:
        chunk = file["traj_0/obs/sensor_data/hand/rgb"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    frames = FolderDataset(folder)[1].frames["hand"]
    frames[:2]
    with pytest.raises(DatasetError, match=r"000001\.h5: /traj_0/obs/sensor_data/hand/rgb is damaged"):
        frames[:]


def test_a_missing_field_is_named(folder):
    with h5py.File(episode_file(folder), "r+") as file:
        del file["traj_0/actions"]
    with pytest.raises(DatasetError, match=r"000001\.h5: /traj_0/actions is missing or damaged"):
        FolderDataset(folder)[1]


def test_a_missing_attribute_is_named(folder):
    with h5py.File(episode_file(folder), "r+") as file:
        del file["traj_0"].attrs["instruction"]
    with pytest.raises(DatasetError, match=r"000001\.h5: /traj_0/instruction \(an attribute\) is missing"):
        FolderDataset(folder)[1]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("actions", np.zeros((3, 3), np.float32), "rgb has 5 frames; the 3 actions need 4"),
        ("actions", np.zeros(4, np.float32), r"/traj_0/actions is float32 \(4,\); expected numbers \(any, any\)"),
        ("obs/state", np.zeros((4, 2), np.float32), r"/traj_0/obs/state is .* expected numbers \(5, any\)"),
        ("obs/sensor_data/base/rgb", np.zeros((5, 8, 8, 3), np.float32), r"rgb is float32 .* expected frames uint8"),
        ("actions", np.zeros((4, 2), np.float32), r"action_dim is 2, not 3, as .*dataset\.json has it"),
    ],
)
def test_an_array_of_the_wrong_shape_is_named(folder, name, value, message):
    with h5py.File(episode_file(folder), "r+") as file:
        del file["traj_0"][name]
        file["traj_0"][name] = value
    with pytest.raises(DatasetError, match=rf"000001\.h5: .*{message}"):
        FolderDataset(folder)[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "field 'format' is not 'feat2go-episodes'"),
        ({"version": 99}, "field 'version' is 99; this feat2go reads 1"),
        ({"fps": None}, "field 'fps' is missing"),
    ],
)
def test_an_unfit_description_is_named(folder, change, message):
    path = folder / "dataset.json"
    values = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
    with pytest.raises(DatasetError, match=rf"dataset\.json: {message}"):
        FolderDataset(folder)


def test_a_description_that_is_not_json_is_named(folder):
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"dataset\.json is not JSON"):
        DatasetInfo.load(folder / "dataset.json")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere/dataset\.json: no such file"):
        FolderDataset(tmp_path / "nowhere")
