import json
import pickle
import sys

import numpy as np
import pytest

from feat2go.data import DatasetError, LeRobotDataset, open_dataset

FPS, SIDE = 10.0, 32


def grey(episode, t, camera):
    """The brightness of a frame: none is like another, nor like its neighbours in the file."""
    return 20 + 12 * t + 3 * episode + (110 if camera == "wrist" else 0)


@pytest.fixture
def episodes(make_episode):
    made = []
    for number, num_frames in enumerate([5, 8, 6]):
        frames = {
            camera: np.stack([np.full((SIDE, SIDE, 3), grey(number, t, camera), np.uint8) for t in range(num_frames)])
            for camera in ("wrist", "exterior")
        }
        instruction = ["wipe the table", "open the drawer"][number % 2]
        made.append(
            make_episode(number, num_frames, success=number != 1, frames=frames, fps=FPS, instruction=instruction)
        )
    return made


@pytest.fixture
def folder(tmp_path, write_lerobot, episodes):
    return write_lerobot(tmp_path / "droid", episodes, success_column="is_episode_successful")


def test_episodes_are_read_from_files_that_hold_several(folder, episodes):
    dataset = open_dataset(folder)
    assert isinstance(dataset, LeRobotDataset)
    assert len(dataset) == 3
    for number, (read, written) in enumerate(zip(dataset, episodes, strict=True)):
        assert list(read.frames) == ["wrist", "exterior"]
        assert len(read) == len(written)
        assert (read.instruction, read.success) == (written.instruction, written.success)
        assert (read.uid, read.env_id, read.seed, read.fps) == (f"episode_{number:06d}", "droid", number, FPS)
        np.testing.assert_array_equal(read.actions, written.actions, strict=True)
        np.testing.assert_array_equal(read.state, written.state, strict=True)
        for camera, frames in written.frames.items():
            decoded = read.frames[camera][:]
            assert decoded.shape == frames.shape
            assert decoded.dtype == np.uint8
            # The video is compressed; neighbouring frames differ by 12.
            assert np.abs(decoded.astype(int) - frames).max() <= 4
    assert [episode.uid for episode in dataset[1:]] == ["episode_000001", "episode_000002"]
    assert dataset[-1].uid == "episode_000002"


@pytest.mark.parametrize(
    "rows", [slice(3, 4), slice(2, 6), slice(-1, None), slice(None, None, 3), slice(None, None, -1)]
)
def test_any_slice_is_that_of_the_frames(folder, episodes, rows):
    read = LeRobotDataset(folder)[1].frames["wrist"][rows]
    expected = episodes[1].frames["wrist"][rows]
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= 4


def test_videos_and_tables_are_read_only_when_they_are_needed(folder, monkeypatch):
    dataset = LeRobotDataset(folder)
    for path in (folder / "videos").rglob("*.mp4"):
        path.rename(path.with_suffix(".away"))
    (folder / "data/chunk-000/file-001.parquet").unlink()
    assert [len(episode) for episode in dataset[:2]] == [5, 8]
    with pytest.raises(DatasetError, match=r"wrist/chunk-000/file-000\.mp4: no such file"):
        dataset[0].frames["wrist"][:1]
    with pytest.raises(DatasetError, match=r"file-001\.parquet: no such file"):
        dataset[2]


def test_one_data_file_at_a_time_is_in_memory(folder):
    dataset = LeRobotDataset(folder)
    list(dataset)
    path, table = dataset._open_file
    assert path.name == "file-001.parquet"
    assert len(table) == 6


def test_an_episode_goes_to_another_process(folder):
    episode = pickle.loads(pickle.dumps(LeRobotDataset(folder)[2]))
    assert episode.frames["exterior"][:].shape == (6, SIDE, SIDE, 3)


@pytest.mark.parametrize(("column", "expected"), [("next.success", [True, False, True]), (None, [True] * 3)])
def test_success_is_what_the_data_says_and_demonstrations_are_successes(
    tmp_path, write_lerobot, episodes, column, expected
):
    folder = write_lerobot(tmp_path / "data", episodes, success_column=column)
    assert [episode.success for episode in LeRobotDataset(folder)] == expected


def test_numbers_in_single_columns_and_no_state_are_read_too(folder, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path).drop_columns(["observation.state", "action"])
    pq.write_table(table.append_column("action", pa.array(np.arange(6, dtype=np.float64))), path)
    info = json.loads((folder / "meta/info.json").read_text())
    del info["features"]["observation.state"]
    (folder / "meta/info.json").write_text(json.dumps(info))
    episode = LeRobotDataset(folder)[2]
    assert episode.state is None
    np.testing.assert_array_equal(episode.actions, np.arange(5, dtype=np.float32)[:, None], strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebase_version": "v2.1"}, "'codebase_version' is v2.1; this reads v3"),
        ({"features": {"action": {"dtype": "float32"}}}, "no feature is a video"),
        ({"features": {"observation.images.top": {"dtype": "video"}}}, "'videos/observation.images.top/chunk_index'"),
    ],
)
def test_unfit_descriptions_are_named(folder, change, message):
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DatasetError, match=message):
        LeRobotDataset(folder)


def test_a_missing_field_is_named(folder):
    path = folder / "meta/info.json"
    path.write_text(json.dumps({"codebase_version": "v3.0"}))
    with pytest.raises(DatasetError, match=r"info\.json: field 'fps' is missing"):
        LeRobotDataset(folder)


def test_damaged_files_are_named(folder):
    video = folder / "videos/observation.images.wrist/chunk-000/file-000.mp4"
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    table = folder / "data/chunk-000/file-001.parquet"
    table.write_bytes(b"PAR1 and nothing more")
    dataset = LeRobotDataset(folder)
    with pytest.raises(DatasetError, match=r"wrist/chunk-000/file-000\.mp4"):
        dataset[1].frames["wrist"][:]
    with pytest.raises(DatasetError, match=r"file-001\.parquet can't be read: it is damaged"):
        dataset[2]
    (folder / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"episodes/chunk-000/file-000\.parquet"):
        LeRobotDataset(folder)


def test_a_video_that_is_too_short_is_named(folder, write_video, episodes):
    write_video(folder / "videos/observation.images.wrist/chunk-000/file-000.mp4", episodes[0].frames["wrist"], FPS)
    with pytest.raises(DatasetError, match=r"file-000\.mp4: frame 0 of the episode that begins at 0.5 s is missing"):
        LeRobotDataset(folder)[1].frames["wrist"][:]


def test_rows_that_do_not_fit_the_episode_are_refused(folder):
    import pyarrow.parquet as pq

    path = folder / "data/chunk-000/file-001.parquet"
    pq.write_table(pq.read_table(path)[:4], path)
    with pytest.raises(DatasetError, match="episode 2 has 4 rows, but 6 in meta/episodes"):
        LeRobotDataset(folder)[2]


def test_without_pyav_the_command_that_installs_it_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r"feat2go\[lerobot\]"):
        LeRobotDataset(folder)[0].frames["wrist"][:]
