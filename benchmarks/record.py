"""Writes a benchmark's result as JSON, with what is needed to repeat it."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from feat2go.core.files import atomic_write
from feat2go.report.provenance import versions

ROOT = Path(__file__).resolve().parent.parent


def write(path: str | os.PathLike[str], result: dict[str, Any]) -> None:
    """Write ``result`` and, beside it, the machine, versions, commit, command and date. Atomic.

    Args:
        path: the JSON file.
        result: the benchmark's own numbers, JSON-serialisable.

    Raises:
        ValueError: if ``result`` uses one of the names that are added here.
    """
    origin = provenance()
    if taken := origin.keys() & result.keys():
        raise ValueError(f"these names are added by record.write, choose others: {', '.join(sorted(taken))}")
    with atomic_write(path) as partial:
        partial.write_text(json.dumps({**result, **origin}, indent=2) + "\n")


def provenance() -> dict[str, Any]:
    """Machine, versions, commit, command and date of this process."""
    return {
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "command": command(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def machine() -> dict[str, Any]:
    """Platform, processor, number of CPUs this process may use, how busy they are, and the GPU that torch sees."""
    import torch

    return {
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def commit() -> str | None:
    """Hash of the checkout, with ``-dirty`` where tracked files differ from it; None outside of a checkout."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    found = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def command() -> str:
    """The command line, with files of this checkout named relative to it."""
    return shlex.join(["python", *map(_relative, sys.argv)])


def _relative(argument: str) -> str:
    path = Path(argument)
    if not path.exists() and not path.is_absolute():
        return argument
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
