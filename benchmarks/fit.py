"""``feat2go fit`` from within a benchmark: a config with changes, run as the command runs it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import yaml
from record import ROOT

from feat2go.cli.main import main as feat2go

# PPO's iterations and nothing else: no validation, no start that another run would have to leave.
ITERATIONS_ALONE = {
    "trainer.accelerator": "cpu",
    "trainer.limit_val_batches": 0,
    "model.init_args.initial_policy": None,
}
# And no value model.
SPARSE = {"data.init_args.reward": "sparse", "data.init_args.value_model": None}


def write_config(config_name: str, run_dir: Path, changes: dict[str, Any]) -> Path:
    """A config of this project with changes, in the folder that its run writes to.

    Args:
        config_name: of a file in ``configs``.
        run_dir: what the run writes.
        changes: dotted key -> the value that it has here.
    """
    config = yaml.safe_load((ROOT / "configs" / config_name).read_text())
    for key, value in {"run_dir": str(run_dir), **changes}.items():
        *parents, last = key.split(".")
        part = config
        for parent in parents:
            part = part[parent]
        part[last] = value
    run_dir.mkdir(parents=True)
    changed = run_dir / "changed.yaml"
    changed.write_text(yaml.safe_dump(config))
    return changed


def fit(config: Path) -> None:
    """Run ``feat2go fit``; what it prints is shown only if it fails."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            feat2go(["fit", "--config", str(config)])
    except SystemExit:
        print(printed.getvalue())
        raise
