"""``feat2go`` in processes of its own, and what the fit of a value model leaves in its log."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path


def feat2go(*words: str) -> None:
    """One command.

    Raises:
        CalledProcessError: if it fails.
    """
    subprocess.run([sys.executable, "-m", "feat2go.cli.main", *words], check=True)


def held_out(run_dir: Path) -> dict[str, float]:
    """VOC, pair accuracy and MAE of the last validation."""
    with (run_dir / "metrics.csv").open() as lines:
        last = [row for row in csv.DictReader(lines) if row["val/voc"]][-1]
    return {name: float(last[f"val/{name}"]) for name in ("voc", "pair_accuracy", "mae")}
