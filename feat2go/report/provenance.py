"""What was run, with what, where."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import feat2go
from feat2go.report.runs import Demonstrations, Evaluation, Fit, Runs

PACKAGES = ("feat2go", "torch", "numpy", "lightning", "transformers", "mani-skill")
NOT_RECORDED = "…"


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        stage: what it was for.
        line: as it can be typed.
        is_exact: recorded by the demo, not put together from what the run left.
        seconds: how long it took by the times of the files, or None.
    """

    stage: str
    line: str
    is_exact: bool
    seconds: float | None


def commands(runs: Runs) -> list[Command]:
    """The commands that the demo recorded, then those of the other runs, put together from what they left."""
    recorded = [command for folder in runs.markers for command in _recorded(folder)]
    others: list[Demonstrations | Fit | Evaluation] = [*runs.demonstrations, *runs.fits, *runs.evaluations]
    return recorded + [_reconstructed(run) for run in others if not _has_marker(run)]


def _recorded(folder: Path) -> list[Command]:
    """In the order in which they were done; each took the time since the one before, pauses included."""
    files = sorted((file for file in folder.iterdir() if not file.name.startswith(".")), key=_modified)
    starts: list[float | None] = [None, *map(_modified, files)]
    return [
        Command(
            file.name, f"feat2go {file.read_text().strip()}", True, None if start is None else _modified(file) - start
        )
        for file, start in zip(files, starts, strict=False)
    ]


def _has_marker(run: Demonstrations | Fit | Evaluation) -> bool:
    stage = "collect" if isinstance(run, Demonstrations) else run.path.name
    return (run.path.parent / ".done" / stage).is_file()


def _reconstructed(run: Demonstrations | Fit | Evaluation) -> Command:
    if isinstance(run, Demonstrations):
        return Command(run.name, _line("collect", "--config", NOT_RECORDED, f"--output={run.path}"), False, None)
    if isinstance(run, Fit):
        config = run.path / "config.yaml"
        line = _line("fit", "--config", str(config) if config.is_file() else NOT_RECORDED)
        return Command(run.name, line, False, _fit_seconds(run))
    told = {name: str(run.metadata.get(name, NOT_RECORDED)) for name in ("checkpoint", "seeds", "temperature")}
    options = [f"--{name}={value}" for name, value in told.items()]
    line = _line("evaluate", "--config", NOT_RECORDED, *options, f"--episodes={len(run.rows)}", f"--output={run.path}")
    return Command(run.name, line, False, None)


def _line(*words: str) -> str:
    return " ".join(word if word == NOT_RECORDED else shlex.quote(word) for word in ("feat2go", *words))


def _fit_seconds(fit: Fit) -> float | None:
    """From the config, written when it began, to the last line of the log; None where copying lost the times."""
    config, metrics = fit.path / "config.yaml", fit.path / "metrics.csv"
    if not (config.is_file() and metrics.is_file()):
        return None
    seconds = _modified(metrics) - _modified(config)
    return seconds if seconds > 1 else None


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def versions() -> dict[str, str]:
    """Python and the packages that matter, those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def other_versions(runs: Runs) -> list[str]:
    """A sentence for each run that was recorded with another version than the one that is installed now."""
    here = versions()
    recorded = [(e.name, "feat2go", str(e.metadata["feat2go"])) for e in runs.evaluations if "feat2go" in e.metadata]
    recorded += [(fit.name, "lightning", used) for fit in runs.fits if (used := _lightning_version(fit))]
    return [
        f"{name} was made with {package} {used}, not {here[package]}."
        for name, package, used in recorded
        if package in here and used != here[package]
    ]


def _lightning_version(fit: Fit) -> str:
    """Lightning writes it into the first line of a config: ``# lightning.pytorch==2.6.6``."""
    config = fit.path / "config.yaml"
    first = config.read_text(errors="replace").partition("\n")[0] if config.is_file() else ""
    return first.partition("==")[2].strip() if first.startswith("#") else ""


def machine() -> str:
    """Processor, CPUs that this process may use, and platform; no host name, for the page goes places."""
    num_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_cpu_name()}, {num_cpus} CPUs, {platform.platform()}"


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines: Sequence[str] = cpuinfo.read_text().splitlines() if cpuinfo.exists() else ()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str | None:
    """Commit of the checkout that feat2go runs from, with ``-dirty`` where files differ; None for an installed one."""
    root = Path(feat2go.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(describe, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None
