"""An audit on disk: the summary, the differences, a table of episodes, and labels of every method."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feat2go.core.files import atomic_write
from feat2go.progress.audit.bootstrap import Estimate
from feat2go.progress.audit.run import Audit
from feat2go.progress.table import label_writer


def write_audit(audit: Audit, folder: str | Path, about: Mapping[str, Any]) -> None:
    """Write what an audit found; each file appears as a whole or not at all.

    - ``summary.json``: method -> metric -> mean, low, high. A figure that no episode has is null.
    - ``differences.json``: the first method minus each other, on the same episodes.
    - ``episodes.parquet``: a row per method and episode.
    - ``labels/<method>.parquet``: as ``feat2go label`` writes them.
    - ``audit.json``: what was audited, and with what.

    Args:
        audit: the findings.
        folder: made if it isn't there.
        about: what was audited; anything that JSON can hold.
    """
    folder = Path(folder)
    _write_json(folder / "audit.json", {**about, "methods": list(audit.estimates)})
    _write_json(folder / "differences.json", _plain(audit.differences))
    _write_episodes(audit, folder / "episodes.parquet")
    for method, labelled in audit.labelled.items():
        with label_writer(folder / "labels" / f"{method}.parquet", {**about, "method": method}) as append:
            for sample, own in zip(audit.samples, labelled, strict=True):
                append(sample.uid, own.track)
    # Last: where it is, everything is.
    _write_json(folder / "summary.json", _plain(audit.estimates))


def write_estimates(path: Path, nested: Mapping[str, Mapping[str, Mapping[str, Estimate]]]) -> None:
    """Write estimates that have one more name than an audit's: method -> what was changed -> metric."""
    _write_json(path, {name: _plain(own) for name, own in nested.items()})


def _plain(estimates: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, dict[str, float | None]]]:
    return {
        method: {
            metric: {end: _finite(getattr(estimate, end)) for end in ("mean", "low", "high")}
            for metric, estimate in sorted(own.items())
        }
        for method, own in estimates.items()
    }


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _write_json(path: Path, values: Any) -> None:
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n")


def _write_episodes(audit: Audit, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"method": method, "episode": sample.uid, "task": sample.task, "num_frames": len(sample), **scores}
        for method, own in audit.scores.items()
        for sample, scores in zip(audit.samples, own, strict=True)
    ]
    # Episodes without milestones lack some metrics.
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    with atomic_write(path) as partial:
        pq.write_table(table, partial)
