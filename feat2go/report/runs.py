"""What a report is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from feat2go.core.types import EvaluationRow
from feat2go.data import DatasetInfo
from feat2go.report.metrics import Metrics
from feat2go.rollouts.tables import Summary, summarise

FitKind = Literal["rl", "bc", "value"]


@dataclass(frozen=True)
class Fit:
    """A run of ``feat2go fit``.

    Attributes:
        path: its folder.
        name: short, for legends and tables; no two runs of a report share it.
        kind: what was trained: a policy by reinforcement learning, a policy by imitation, or a value model.
        config: ``config.yaml``, all settings; empty if it is missing.
        metrics: ``metrics.csv``.
    """

    path: Path
    name: str
    kind: FitKind
    config: Mapping[str, Any]
    metrics: Metrics

    def setting(self, *keys: str) -> Any:
        """A value deep in the config, or None."""
        return setting(self.config, *keys)

    @property
    def reward(self) -> str:
        """Class of the reward shaper, empty for none."""
        return str(self.setting("data", "init_args", "reward", "class_path") or "").rpartition(".")[2]


@dataclass(frozen=True)
class Evaluation:
    """A run of ``feat2go evaluate``.

    Attributes:
        path, name: as for :class:`Fit`.
        rows: one per episode, at least one.
        metadata: what was evaluated and how.
    """

    path: Path
    name: str
    rows: list[EvaluationRow]
    metadata: Mapping[str, Any]

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.rows)

    @property
    def task(self) -> str:
        """What was evaluated; `feat2go evaluate` runs one task at a time."""
        return self.rows[0].task

    @property
    def checkpoint(self) -> str:
        """The policy, as the command named it; empty if it was not recorded."""
        return str(self.metadata.get("checkpoint", ""))

    def video_of(self, row: EvaluationRow) -> Path | None:
        """The video of an episode, if there is one. Nothing outside of the folder: a table may come from anywhere."""
        path = (self.path / row.video).resolve()
        is_inside = path.is_relative_to(self.path.resolve()) and path.suffix == ".mp4"
        return path if is_inside and path.is_file() else None


@dataclass(frozen=True)
class Demonstrations:
    """A folder of episodes; ``labels`` is None if they have no progress labels yet."""

    path: Path
    name: str
    info: DatasetInfo
    labels: Path | None


@dataclass
class Runs:
    """Everything that was found.

    Attributes:
        folders: as they were given.
        value_models: folders of frozen value models.
        markers: folders in which the demo keeps the commands that are done.
        problems: one sentence for each thing that could not be read.
    """

    folders: list[Path]
    fits: list[Fit] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    demonstrations: list[Demonstrations] = field(default_factory=list)
    value_models: list[Path] = field(default_factory=list)
    markers: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def fits_of(self, kind: FitKind) -> list[Fit]:
        """The fits of one kind, in the order in which they were found."""
        return [fit for fit in self.fits if fit.kind == kind]

    @property
    def tasks(self) -> list[str]:
        """What was evaluated or demonstrated; the names of the folders where neither is known."""
        tasks = [evaluation.task for evaluation in self.evaluations]
        tasks += [demonstrations.info.env_id for demonstrations in self.demonstrations]
        return list(dict.fromkeys(tasks)) or [folder.resolve().name for folder in self.folders]


def refers_to(recorded: str, folder: Path) -> bool:
    """Whether a path in a config or table means ``folder``.

    A path is recorded as it was typed, and the report may be made from elsewhere: then the ends have to agree.
    """
    wanted, parts = run_folder(recorded), folder.resolve().parts
    return bool(wanted.parts) and (wanted.resolve() == folder.resolve() or parts[-len(wanted.parts) :] == wanted.parts)


def run_folder(recorded: str) -> Path:
    """The run that a checkpoint, a saved policy or a value model belongs to."""
    path = Path(os.path.normpath(recorded)) if recorded else Path()
    if path.suffix == ".ckpt":
        path = path.parent
    return path.parent if path.name in ("policy", "checkpoints") else path


def setting(tree: Any, *keys: str) -> Any:
    """A value deep in nested mappings, or None."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
