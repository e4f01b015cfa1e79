import json

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feat2go.core import Episode
from feat2go.data import DatasetInfo

SIDE, NUM_ACTION_DIMS, NUM_STATE_DIMS = 8, 3, 2


@pytest.fixture
def make_episode():
    def make(seed=0, num_frames=5, success=True, cameras=("base", "hand"), **changes):
        rng = np.random.default_rng(seed)
        values = {
            "frames": {c: rng.integers(0, 256, (num_frames, SIDE, SIDE, 3), dtype=np.uint8) for c in cameras},
            "instruction": "put the red cube on the blue plate",
            "actions": rng.uniform(-1, 1, (num_frames - 1, NUM_ACTION_DIMS)).astype(np.float32),
            "state": rng.normal(size=(num_frames, NUM_STATE_DIMS)).astype(np.float32),
            "success": success,
            "milestones": np.arange(num_frames),
            "uid": f"Fake-v1-{seed}",
            "env_id": "Fake-v1",
            "seed": seed,
            "fps": 20.0,
        }
        return Episode(**(values | changes))

    return make


@pytest.fixture
def info():
    return DatasetInfo(
        env_id="Fake-v1",
        cameras=("hand", "base"),
        image_size=SIDE,
        fps=20.0,
        action_dim=NUM_ACTION_DIMS,
        state_dim=NUM_STATE_DIMS,
        milestones=("reached", "success"),
    )


@pytest.fixture
def assert_same():
    def check(read, written):
        assert set(read.frames) == set(written.frames)
        for camera in written.frames:
            np.testing.assert_array_equal(read.frames[camera][:], written.frames[camera][:], strict=True)
        for name in ("actions", "state", "milestones"):
            expected = getattr(written, name)
            if expected is None:
                assert getattr(read, name) is None
            else:
                np.testing.assert_array_equal(getattr(read, name), expected, strict=True)
        for name in ("instruction", "success", "uid", "env_id", "seed", "fps"):
            assert getattr(read, name) == getattr(written, name)
            assert type(getattr(read, name)) is type(getattr(written, name))

    return check


@pytest.fixture
def write_video():
    """A function that writes frames (T, H, W, 3) as mp4, with a key frame every second frame as LeRobot has it."""

    def write(path, frames, fps):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(
                "libx264", rate=int(fps), options={"g": "2", "crf": "10", "preset": "ultrafast"}
            )
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())

    return write


@pytest.fixture
def write_lerobot(write_video):
    """A function that writes episodes in LeRobot's layout, ``per_file`` of them to each file."""

    def write(folder, episodes, per_file=2, success_column=None, **info):
        rows = []
        for file, start in enumerate(range(0, len(episodes), per_file)):
            group = episodes[start : start + per_file]
            numbers = range(start, start + len(group))
            lengths = [len(episode) for episode in group]
            columns = {
                "episode_index": np.repeat(list(numbers), lengths),
                "timestamp": np.concatenate([np.arange(n) / group[0].fps for n in lengths]).astype(np.float32),
                "action": [row for e in group for row in np.vstack([e.actions, e.actions[-1:]]).tolist()],
                "observation.state": [row for e in group for row in e.state.tolist()],
            }
            if success_column:
                columns[success_column] = np.repeat([episode.success for episode in group], lengths)
            path = folder / f"data/chunk-000/file-{file:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path)
            for camera in group[0].frames:
                video = folder / f"videos/observation.images.{camera}/chunk-000/file-{file:03d}.mp4"
                write_video(video, np.concatenate([e.frames[camera] for e in group]), group[0].fps)
            for number, episode in zip(numbers, group, strict=True):
                row = {"episode_index": number, "tasks": [episode.instruction], "length": len(episode)}
                row |= {"data/chunk_index": 0, "data/file_index": file}
                for camera in episode.frames:
                    key = f"videos/observation.images.{camera}"
                    from_s = sum(lengths[: number - start]) / episode.fps
                    row |= {f"{key}/chunk_index": 0, f"{key}/file_index": file, f"{key}/from_timestamp": from_s}
                    row[f"{key}/to_timestamp"] = from_s + len(episode) / episode.fps
                rows.append(row)
        path = folder / "meta/episodes/chunk-000/file-000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
        features = {f"observation.images.{camera}": {"dtype": "video"} for camera in episodes[0].frames}
        features |= {name: {"dtype": "float32"} for name in columns}
        description = {
            "codebase_version": "v3.0",
            "fps": episodes[0].fps,
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": features,
        }
        (folder / "meta/info.json").write_text(json.dumps({**description, **info}))
        return folder

    return write
