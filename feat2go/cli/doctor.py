"""``feat2go doctor``."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

from feat2go.cli.parsing import run_function
from feat2go.core import weights
from feat2go.envs.maniskill import requirements

_PACKAGES = ("lightning", "torch", "transformers", "peft", "mani-skill", "torchmetrics", "numpy", "jsonargparse")


def run(words: Sequence[str]) -> None:
    """Print what this machine has, and the command that mends what it lacks; with ``--distributed``, try a job."""
    if "--distributed" in words:
        run_function(check_job, [word for word in words if word != "--distributed"])
    else:
        check_machine()


def check_job(accelerator: str = "auto", devices: str = "auto", num_nodes: int = 1, folder: str = ".") -> None:
    """Try whether several processes can train together: exchange, DDP, FSDP2, seeds, a shared folder.

    Start it as the training will be: on its own for one machine, or with torchrun or srun on each of several.

    Args:
        accelerator: as for ``feat2go fit``.
        devices: processes on this machine.
        num_nodes: machines.
        folder: where runs will be written; all machines must see it.
    """
    # Lightning takes seconds to import, and a look at this machine needs none of it.
    from lightning.pytorch.utilities import rank_zero_only

    from feat2go.training.process_check import check_processes
    from feat2go.training.processes import watch_parent

    watch_parent()
    checks = check_processes(accelerator, devices, num_nodes, Path(folder))
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        print("\nProcesses")
        for check in checks:
            print(f"  {'ok ' if check.ok else 'NO '} {check.name:24}{check.detail}")
    raise SystemExit(0 if all(check.ok for check in checks) else 1)


def check_machine() -> None:
    """What is installed and what is missing here."""
    print(f"Python {platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        print(f"  {package:16}{_version(package)}")
    print("\nManiSkill3")
    checks = requirements.check()
    for check in checks:
        mend = "" if check.ok or not check.mend else f"\n{'':6}mend: {check.mend}"
        print(f"  {'ok ' if check.ok else 'NO '} {check.name:24}{check.detail}{mend}")
    print("\nWeights")
    for row in weights.table():
        print(
            f"  {'ok ' if row.present else '-  '} {row.name:24}"
            + ("" if row.present else f"feat2go weights get {row.name}")
        )
    raise SystemExit(0 if all(check.ok for check in checks) else 1)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
