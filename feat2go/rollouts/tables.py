"""Evaluated episodes as a table on disk, and what to make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from feat2go.core.files import atomic_write
from feat2go.core.intervals import wilson
from feat2go.core.types import EvaluationRow

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"feat2go"


@dataclass(frozen=True)
class SuccessRate:
    """How many of the episodes succeeded.

    Attributes:
        num_successes, num_episodes: the counts.
        low, high: Wilson's 95 % interval of the probability.
    """

    num_successes: int
    num_episodes: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.num_successes / self.num_episodes

    @classmethod
    def of(cls, outcomes: Sequence[bool]) -> SuccessRate:
        """The rate of some outcomes, at least one."""
        return cls(sum(outcomes), len(outcomes), *wilson(sum(outcomes), len(outcomes)))


@dataclass(frozen=True)
class Summary:
    """Success at any step, and at the last one."""

    success_once: SuccessRate
    success_at_end: SuccessRate


def summarise(rows: Sequence[EvaluationRow]) -> Summary:
    """Success rates with intervals.

    Raises:
        ValueError: without rows.
    """
    if not rows:
        raise ValueError("there are no evaluated episodes to summarise")
    return Summary(
        SuccessRate.of([row.success_once for row in rows]), SuccessRate.of([row.success_at_end for row in rows])
    )


def write_table(rows: Sequence[EvaluationRow], path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a parquet file with one row per episode.

    Args:
        rows: the episodes.
        path: the file.
        metadata: what was evaluated and how; anything that JSON can hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema().with_metadata({METADATA_KEY: json.dumps(dict(metadata or {})).encode()})
    with atomic_write(path) as partial:
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema), partial)


def read_table(path: str | Path) -> list[EvaluationRow]:
    """The rows of a file that :func:`write_table` wrote.

    Raises:
        FileNotFoundError: without such a file.
        ValueError: naming the file and the column that doesn't fit.
    """
    table = _open(Path(path)).read()
    for wanted in _schema():
        if wanted.name not in table.column_names:
            raise ValueError(f"{path}: column '{wanted.name}' is missing; found {', '.join(table.column_names)}")
        found = table.schema.field(wanted.name).type
        if found != wanted.type:
            raise ValueError(f"{path}: column '{wanted.name}' holds {found}, not {wanted.type}")
    return [EvaluationRow(**row) for row in table.select(_schema().names).to_pylist()]


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What :func:`write_table` was told of the evaluation; empty if nothing.

    Raises:
        FileNotFoundError: without such a file.
        ValueError: if it is no parquet file.
    """
    return dict(json.loads((_open(Path(path)).schema_arrow.metadata or {}).get(METADATA_KEY, b"{}")))


def _schema() -> pa.Schema:
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}
    return pa.schema([(name, types[kind]) for name, kind in get_type_hints(EvaluationRow).items()])


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; `feat2go evaluate` writes one")
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a parquet file, or a damaged one ({error})") from None
