"""``feat2go doctor``."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence

from feat2go.core import weights
from feat2go.envs.maniskill import requirements

_PACKAGES = ("lightning", "torch", "transformers", "peft", "mani-skill", "torchmetrics", "numpy", "jsonargparse")


def run(words: Sequence[str]) -> None:
    """Print what this machine has, and the command that mends what it lacks."""
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
