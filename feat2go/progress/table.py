"""Progress labels on disk: one parquet row per frame, one row group per episode."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from feat2go.core.files import atomic_write
from feat2go.core.types import ProgressTrack

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("episode", "frame", "stage", "similarity", "target")
METADATA_KEY = b"feat2go"


@contextmanager
def label_writer(path: Path, metadata: Mapping[str, Any]) -> Iterator[Callable[[str, ProgressTrack], None]]:
    """A function that appends the labels of one episode, given its uid. The file appears when the block succeeds.

    Args:
        path: of the parquet file.
        metadata: what the labels were made with; anything that JSON can hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.string(), pa.int32(), pa.int32(), pa.float32(), pa.float32())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)), {METADATA_KEY: json.dumps(metadata).encode()})
    with atomic_write(path) as partial, pq.ParquetWriter(partial, schema) as writer:

        def append(uid: str, track: ProgressTrack) -> None:
            num_frames = len(track.target)
            columns = [
                [uid] * num_frames,
                np.arange(num_frames, dtype=np.int32),
                track.stage.numpy().astype(np.int32),
                track.similarity.numpy(),
                track.target.numpy(),
            ]
            writer.write_table(pa.table(columns, schema=schema))

        yield append


def read_labels(path: str | Path) -> dict[str, ProgressTrack]:
    """Labels of a whole file, about 24 bytes per frame.

    Args:
        path: a parquet file as :func:`~feat2go.progress.label_episodes` writes it. One made elsewhere needs the columns
            episode (text), frame, stage, similarity and target, and the frames of an episode together and in order.

    Returns:
        Episode uid -> labels, in the order of the file.

    Raises:
        FileNotFoundError: without such a file.
        ValueError: naming the file, the column and what is wrong with it.
    """
    table = _read_table(Path(path))
    uid, frame, stage, similarity, target = (_column(path, table, name) for name in COLUMNS)
    starts = np.flatnonzero(np.r_[True, uid[1:] != uid[:-1]]) if len(uid) else np.empty(0, dtype=np.int64)
    labels: dict[str, ProgressTrack] = {}
    for start, stop in zip(starts, [*starts[1:], len(uid)], strict=True):
        rows = slice(start, stop)
        name = str(uid[start])
        if name in labels:
            raise ValueError(f"{path}: column 'episode': the rows of '{name}' are not together")
        if not np.array_equal(frame[rows], np.arange(stop - start)):
            raise ValueError(f"{path}: column 'frame': episode '{name}' does not run 0, 1, ..., {stop - start - 1}")
        if stage[start] < 0 or np.any(np.diff(stage[rows]) < 0):
            raise ValueError(f"{path}: column 'stage': episode '{name}' has a stage below 0 or below the one before")
        if not np.all((target[rows] >= 0) & (target[rows] <= 1)):
            raise ValueError(f"{path}: column 'target': episode '{name}' has values outside of [0, 1]")
        labels[name] = ProgressTrack(
            target=torch.from_numpy(target[rows].copy()),
            stage=torch.from_numpy(stage[rows].copy()),
            similarity=torch.from_numpy(similarity[rows].copy()),
        )
    return labels


def read_label_metadata(path: str | Path) -> dict[str, Any]:
    """What the labels of a file were made with: encoder, clustering, beta, scope, version. Empty if it doesn't say.

    Raises:
        FileNotFoundError: without such a file.
        ValueError: if it is no parquet file.
    """
    raw = (_open(Path(path)).schema_arrow.metadata or {}).get(METADATA_KEY, b"{}")
    return dict(json.loads(raw))


def join_labels(parts: Sequence[Path], output: Path) -> None:
    """Several label files, one after the other, as if they had been written as one. One episode is in memory at a time.

    Raises:
        ValueError: if an episode is in two places, or no episode in any.
    """
    import pyarrow.parquet as pq

    seen: set[str] = set()
    with atomic_write(output) as partial, pq.ParquetWriter(partial, _open(parts[0]).schema_arrow) as writer:
        for part in parts:
            file = _open(part)
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                uid = rows.column("episode")[0].as_py()
                if uid in seen:
                    raise ValueError(f"episode '{uid}' appears twice; uids must be unique")
                seen.add(uid)
                writer.write_table(rows)
        if not seen:
            raise ValueError("nothing to label: no episode succeeded, and only those that did have a goal")


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such label file; write one with `feat2go label`")
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a parquet file, or a damaged one ({error})") from error


def _read_table(path: Path) -> pa.Table:
    file = _open(path)
    missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"{path}: column '{missing[0]}' is missing; found {', '.join(file.schema_arrow.names)}")
    return file.read(columns=list(COLUMNS))


def _column(path: str | Path, table: pa.Table, name: str) -> np.ndarray:
    """One column without gaps, as str objects, int64 or float32."""
    import pyarrow as pa

    target_type = {"episode": pa.string(), "frame": pa.int64(), "stage": pa.int64()}.get(name, pa.float32())
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"{path}: column '{name}' has {column.null_count} empty cells")
    try:
        return np.asarray(column.cast(target_type).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{path}: column '{name}' should hold {target_type}, not {column.type} ({error})") from error
