"""Small datasets in LeRobot's layout, version 3. Needs no network.

Run as ``python tests/data/make_tiny_lerobot.py FOLDER`` for a few episodes with DROID's cameras.
"""

import json
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feat2go.core import Episode

CAMERAS = ("wrist_left", "exterior_1_left", "exterior_2_left")


def write_video(path, frames, fps):
    """Frames (T, H, W, 3) as mp4, with a key frame every second frame as LeRobot has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"g": "2", "crf": "10", "preset": "ultrafast"}
        stream = container.add_stream("libx264", rate=int(fps), options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_lerobot(folder, episodes, per_file=2, success_column=None):
    """Episodes in LeRobot's layout, ``per_file`` of them to each file."""
    folder = Path(folder)
    rows = []
    for file, first in enumerate(range(0, len(episodes), per_file)):
        group = episodes[first : first + per_file]
        columns = _columns(group, first, success_column)
        path = folder / f"data/chunk-000/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        for camera in group[0].frames:
            video = folder / f"videos/observation.images.{camera}/chunk-000/file-{file:03d}.mp4"
            write_video(video, np.concatenate([episode.frames[camera] for episode in group]), group[0].fps)
        rows += [_row(group, place, first, file) for place in range(len(group))]
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    description = {
        "codebase_version": "v3.0",
        "fps": episodes[0].fps,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            **{f"observation.images.{camera}": {"dtype": "video"} for camera in episodes[0].frames},
            **{name: {"dtype": "float32"} for name in columns},
        },
    }
    (folder / "meta/info.json").write_text(json.dumps(description))
    return folder


def _columns(group, first, success_column):
    """One row per frame; the last action is there twice, since every frame has one."""
    lengths = [len(episode) for episode in group]
    columns = {
        "episode_index": np.repeat(np.arange(first, first + len(group)), lengths),
        "timestamp": np.concatenate([np.arange(length) for length in lengths]) / group[0].fps,
        "action": [row for e in group for row in np.vstack([e.actions, e.actions[-1:]]).tolist()],
        "observation.state": [row for e in group for row in e.state.tolist()],
    }
    if success_column:
        columns[success_column] = np.repeat([episode.success for episode in group], lengths)
    return columns


def _row(group, place, first, file):
    """Where an episode lies."""
    episode = group[place]
    from_s = sum(len(before) for before in group[:place]) / episode.fps
    row = {"episode_index": first + place, "tasks": [episode.instruction], "length": len(episode)}
    row |= {"data/chunk_index": 0, "data/file_index": file}
    for camera in episode.frames:
        key = f"videos/observation.images.{camera}"
        row |= {f"{key}/chunk_index": 0, f"{key}/file_index": file, f"{key}/from_timestamp": from_s}
        row[f"{key}/to_timestamp"] = from_s + len(episode) / episode.fps
    return row


def make_tiny_lerobot(folder, num_episodes=6, num_frames=12):
    """A bar that grows, through three cameras; the last episode is a failure, in which it stops."""
    episodes = []
    for number in range(num_episodes):
        is_success = number < num_episodes - 1
        bar = np.random.default_rng(number).integers(0, 60, (num_frames, 32, 48, 3), dtype=np.uint8)
        for t in range(num_frames):
            bar[t, 8 : 8 + 4 * (1 + number % 4), : 4 * (t if is_success else min(t, 3))] = 255
        frames = dict(zip(CAMERAS, (255 - bar, bar, bar[:, ::-1]), strict=True))
        actions = np.zeros((num_frames - 1, 8), np.float32)
        state = np.zeros((num_frames, 8), np.float32)
        episodes.append(
            Episode(frames, "grow the bar", actions, state, is_success, None, f"bar-{number}", "bar", number, 15.0)
        )
    return write_lerobot(folder, episodes, success_column="is_episode_successful")


if __name__ == "__main__":
    print(make_tiny_lerobot(*sys.argv[1:]))
