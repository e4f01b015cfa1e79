"""The table of a policy in the settings of put_on that are finished."""

import importlib

from feat2go.core.types import EvaluationRow
from feat2go.envs.put_on.suites import PutOnOOD


def rows_of(settings):
    return [
        EvaluationRow("PutOn-v1", PutOnOOD.name, setting, 0, True, False, 80, 5, float("nan"), "", "put it there")
        for setting in settings
    ]


def test_a_category_counts_once_all_of_its_settings_are_finished():
    lines_of = importlib.import_module("put_on_policy").lines_of
    everything = [setting.name for setting in PutOnOOD.settings]
    assert [line.name for line in lines_of(rows_of(["in_distribution"]))] == ["ID", "in_distribution"]
    vision = [setting.name for setting in PutOnOOD.settings if setting.category == "Vision"]
    some = [line.name for line in lines_of(rows_of(["in_distribution", *vision, "unseen_object"]))]
    assert some == ["ID", "in_distribution", "Vision", *vision, "unseen_object"]
    lines = lines_of(rows_of(everything))
    assert [line.name for line in lines if line.is_category] == [
        *("ID", "Vision", "Semantic", "Execution"),
        "mean of Vision, Semantic, Execution",
    ]
    assert len(lines) == len(everything) + 5
