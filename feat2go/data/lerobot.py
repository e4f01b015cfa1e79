"""Datasets in LeRobot's layout, version 3: tables in parquet, pictures in mp4, several episodes in each file.

Source: huggingface/lerobot, ``lerobot.datasets`` with ``CODEBASE_VERSION = "v3.0"``: ``meta/info.json`` has the path
templates and features, ``meta/episodes/*/*.parquet`` one row per episode with the files and times where it lies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feat2go.core import Episode
from feat2go.core.lazy import LazySequence
from feat2go.data.hdf5 import DatasetError
from feat2go.data.video import VideoFrames

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = "v3."
# Where datasets say whether an episode succeeded: DROID in every frame, others in the last.
SUCCESS_COLUMNS = ("is_episode_successful", "next.success")
ACTION, STATE, NUMBER = "action", "observation.state", "episode_index"


class LeRobotDataset(LazySequence[Episode]):
    """A LeRobot v3 folder, such as DROID. Read lazily: a video when its frames are sliced, a table when its episode is.

    The table of episodes is in memory, and the actions and states of one data file at a time. Cameras are named as in
    the data, without ``observation.images.``, in the order of ``info.json``. Actions are in the dataset's own units;
    the last frame's is left out, since nothing is seen of it. An episode counts as a success unless ``next.success`` or
    DROID's ``is_episode_successful`` says otherwise: demonstrations are. Seeds are the episodes' numbers.

    Args:
        path: the folder.

    Raises:
        DatasetError: here if ``meta`` is unfit, on access if an episode is. The message names file and field.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._info_path = self.path / "meta" / "info.json"
        info = _load_info(self._info_path)
        try:
            self._fps = float(info["fps"])
            self._data_path, self._video_path = str(info["data_path"]), str(info["video_path"])
            self._features: dict[str, Any] = info["features"]
            videos = [name for name, feature in self._features.items() if feature["dtype"] == "video"]
        except KeyError as error:
            raise DatasetError(f"{self._info_path}: field {error} is missing") from None
        self._videos = [name for name in videos if not _is_depth(self._features[name])]
        if not self._videos:
            raise DatasetError(f"{self._info_path}: no feature is a video; pictures inside of parquet are not read")
        self._episodes = self._read_episodes()
        # The last data file that was read: episodes are mostly read in order.
        self._open_file: tuple[Path, pa.Table] | None = None

    @classmethod
    def detect(cls, path: Path) -> bool:
        """Whether ``path`` looks like this format."""
        return (path / "meta" / "info.json").is_file()

    def __len__(self) -> int:
        return len(self._episodes)

    def _read(self, row: int) -> Episode:
        entry = {name: column[row].as_py() for name, column in zip(self._columns, self._episodes.columns, strict=True)}
        number, num_frames = entry[NUMBER], entry["length"]
        table = self._rows(entry)
        actions = _matrix(table, ACTION)
        return Episode(
            frames={_camera(name): self._frames(name, entry) for name in self._videos},
            instruction=str((entry["tasks"] or [""])[0]),
            actions=np.empty((num_frames - 1, 0), np.float32) if actions is None else actions[:-1],
            state=_matrix(table, STATE),
            success=all(bool(_matrix(table, name)[-1].all()) for name in SUCCESS_COLUMNS if name in table.column_names),
            milestones=None,
            uid=f"episode_{number:06d}",
            env_id=self.path.resolve().name,
            seed=number,
            fps=self._fps,
        )

    def _frames(self, name: str, entry: dict[str, Any]) -> VideoFrames:
        chunk, file = entry[f"videos/{name}/chunk_index"], entry[f"videos/{name}/file_index"]
        path = self.path / self._video_path.format(video_key=name, chunk_index=chunk, file_index=file)
        return VideoFrames(path, float(entry[f"videos/{name}/from_timestamp"]), entry["length"], self._fps)

    def _rows(self, entry: dict[str, Any]) -> pa.Table:
        """Actions, states and success of an episode."""
        import pyarrow.compute as pc

        indices = {"chunk_index": entry["data/chunk_index"], "file_index": entry["data/file_index"]}
        path = self.path / self._data_path.format(**indices)
        if self._open_file is None or self._open_file[0] != path:
            wanted = [name for name in (NUMBER, ACTION, STATE, *SUCCESS_COLUMNS) if name in (NUMBER, *self._features)]
            self._open_file = path, _read_parquet(path, wanted)
        table = self._open_file[1]
        rows = table.filter(pc.equal(table[NUMBER], entry[NUMBER]))
        if len(rows) != entry["length"]:
            raise DatasetError(
                f"{path}: episode {entry[NUMBER]} has {len(rows)} rows, but {entry['length']} in meta/episodes"
            )
        return rows

    def _read_episodes(self) -> pa.Table:
        import pyarrow as pa

        self._columns = [NUMBER, "tasks", "length", "data/chunk_index", "data/file_index"]
        for name in self._videos:
            self._columns += [f"videos/{name}/{field}" for field in ("chunk_index", "file_index", "from_timestamp")]
        files = sorted((self.path / "meta" / "episodes").glob("*/*.parquet"))
        if not files:
            raise DatasetError(f"{self.path / 'meta' / 'episodes'}: no parquet files")
        return pa.concat_tables([_read_parquet(file, self._columns) for file in files]).sort_by(NUMBER)


def _load_info(path: Path) -> dict[str, Any]:
    try:
        info: Any = json.loads(path.read_text())
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON ({error})") from None
    except OSError:
        raise DatasetError(f"{path}: no such file; every LeRobot dataset has one") from None
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if not str(version).startswith(VERSION):
        raise DatasetError(
            f"{path}: field 'codebase_version' is {version}; this reads {VERSION}x. LeRobot's own "
            "convert_dataset_v21_to_v30 converts older ones"
        )
    return dict(info)


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            raise DatasetError(f"{path}: column '{missing[0]}' is missing")
        return file.read(columns=list(columns))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{path} can't be read: it is damaged or no parquet ({error})") from None


def _matrix(table: pa.Table, name: str) -> Any:
    """A column as float32 (T, width), or None if it isn't there."""
    if name not in table.column_names:
        return None
    column = table[name].combine_chunks()
    while hasattr(column, "flatten") and column.type.num_fields:
        column = column.flatten()
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32).reshape(len(table), -1)


def _camera(name: str) -> str:
    """``"observation.images.wrist"`` -> ``"wrist"``."""
    return name.removeprefix("observation.images.").removeprefix("observation.")


def _is_depth(feature: dict[str, Any]) -> bool:
    info = feature.get("info") or {}
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map"))
