"""The value model that belongs to a task."""

from __future__ import annotations

from pathlib import Path

from feat2go.core.protocols import ValuePredictor
from feat2go.report.runs import Runs, refers_to
from feat2go.values.frozen import FrozenValue

# What a damaged or foreign file makes its reader raise.
UNREADABLE = (ValueError, LookupError, OSError, RuntimeError, ImportError)


class Predictors:
    """The value models among some runs, each loaded once.

    A model belongs to the tasks of the demonstrations that its fit was trained on. Where that isn't known and there is
    only one model, it is taken.

    Attributes:
        problems: one sentence for each model that can't be loaded.
    """

    def __init__(self, runs: Runs) -> None:
        self._folders = _folder_of_task(runs)
        self._models: dict[Path, ValuePredictor | None] = {}
        self.problems: list[str] = []

    @property
    def folders(self) -> list[Path]:
        """Of the models that were loaded."""
        return [folder for folder, model in self._models.items() if model is not None]

    def of(self, task: str) -> ValuePredictor | None:
        """The value model for a task, or None."""
        folder = self._folders.get(task)
        if folder is None:
            return None
        if folder not in self._models:
            self._models[folder] = self._load(folder)
        return self._models[folder]

    def _load(self, folder: Path) -> ValuePredictor | None:
        try:
            return FrozenValue.load(folder)
        except UNREADABLE as error:
            self.problems.append(f"The value model in {folder} can't be loaded: {error}")
            return None


def _folder_of_task(runs: Runs) -> dict[str, Path]:
    if len(runs.value_models) == 1:
        return dict.fromkeys(runs.tasks, runs.value_models[0])
    found = {}
    for fit in runs.fits_of("value"):
        names = fit.setting("data", "init_args", "dataset")
        for one in runs.demonstrations:
            is_trained_on = isinstance(names, list) and any(refers_to(str(name), one.path) for name in names)
            if is_trained_on and fit.path / "value" in runs.value_models:
                found[one.info.env_id] = fit.path / "value"
    return found
