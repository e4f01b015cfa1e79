"""Which runs a folder holds, told by the files that are there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from feat2go.data import DatasetError, DatasetInfo
from feat2go.report.metrics import Metrics
from feat2go.report.runs import Demonstrations, Evaluation, Fit, FitKind, Runs, refers_to, setting
from feat2go.rollouts.tables import read_metadata, read_table

DEPTH = 3
# Folders inside of a run that hold no runs.
PARTS = {"checkpoints", "episodes", "videos", "policy"}


def discover(folders: Sequence[Path]) -> Runs:
    """Find the runs in some folders and in the folders inside of them.

    ``metrics.csv`` or ``config.yaml`` make a fit, ``episodes.parquet`` an evaluation, ``dataset.json``
    demonstrations, and ``config.json`` beside ``model.safetensors`` with a ``network`` a frozen value model.

    Raises:
        ValueError: if there are no folders, or one of them holds no run.
        NotADirectoryError: if one of them is no folder.
    """
    if not folders:
        raise ValueError("a report needs at least one folder of runs")
    runs = Runs([Path(folder) for folder in folders])
    found: dict[Path, Path] = {}
    for folder in runs.folders:
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: no such folder of runs")
        inside = [path for path in _walk(folder) if _is_run(path)]
        if not inside:
            raise ValueError(
                f"{folder} holds no runs: nothing in it was written by `feat2go fit`, `evaluate` or `collect`"
            )
        found |= {path.resolve(): path for path in inside}
    common = Path(os.path.commonpath([str(path.parent) for path in found]))
    for resolved, path in found.items():
        _add(runs, path, str(resolved.relative_to(common)))
    # As they came about: first the start, then what was made of it.
    runs.evaluations.sort(key=lambda one: any(refers_to(one.checkpoint, fit.path) for fit in runs.fits_of("rl")))
    runs.markers = list(dict.fromkeys(_markers([*runs.folders, *found.values()])))
    return runs


def _walk(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    yield folder
    if depth == 0:
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith(".") and child.name not in PARTS:
            yield from _walk(child, depth - 1)


def _is_run(path: Path) -> bool:
    names = ("metrics.csv", "config.yaml", "episodes.parquet", "dataset.json")
    return any((path / name).is_file() for name in names) or _is_value_model(path)


def _is_value_model(path: Path) -> bool:
    if not ((path / "config.json").is_file() and (path / "model.safetensors").is_file()):
        return False
    try:
        config = json.loads((path / "config.json").read_text())
    except ValueError:
        return False
    return isinstance(config, dict) and "network" in config


def _add(runs: Runs, path: Path, name: str) -> None:
    if (path / "metrics.csv").is_file() or (path / "config.yaml").is_file():
        config = _read_config(path / "config.yaml", runs.problems)
        metrics = Metrics.read(path / "metrics.csv")
        runs.fits.append(Fit(path, name, _kind(config, metrics), config, metrics))
    if (path / "episodes.parquet").is_file():
        _add_evaluation(runs, path, name)
    if (path / "dataset.json").is_file():
        _add_demonstrations(runs, path, name)
    if _is_value_model(path):
        runs.value_models.append(path)


def _add_evaluation(runs: Runs, path: Path, name: str) -> None:
    table = path / "episodes.parquet"
    try:
        rows, metadata = read_table(table), read_metadata(table)
    except (ValueError, OSError) as error:
        runs.problems.append(f"{error}. `feat2go evaluate` writes it anew.")
        return
    if rows:
        runs.evaluations.append(Evaluation(path, name, rows, metadata))
    else:
        runs.problems.append(f"{table} has no episodes. `feat2go evaluate` writes it anew.")


def _add_demonstrations(runs: Runs, path: Path, name: str) -> None:
    labels = path / "labels.parquet"
    try:
        info = DatasetInfo.load(path / "dataset.json")
    except DatasetError as error:
        runs.problems.append(f"{error}.")
        return
    runs.demonstrations.append(Demonstrations(path, name, info, labels if labels.is_file() else None))


def _read_config(path: Path, problems: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        problems.append(f"{path} is missing, so the settings of this run are not known.")
        return {}
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict):
        problems.append(f"{path} is not valid YAML, so the settings of this run are not known.")
        return {}
    return config


def _kind(config: Mapping[str, Any], metrics: Metrics) -> FitKind:
    """By the classes in the config; where it is missing, by what was logged."""
    classes = [str(setting(config, part, "class_path")) for part in ("model", "data") if part in config]
    if any(name.endswith("ValueModule") for name in classes) or (not classes and metrics.has("val/mae")):
        return "value"
    if any(name.endswith("RolloutDataModule") for name in classes) or (
        not classes and metrics.has("rollout/env_steps")
    ):
        return "rl"
    return "bc"


def _markers(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        for place in (folder, folder.parent):
            if (place / ".done").is_dir():
                yield (place / ".done").resolve()
