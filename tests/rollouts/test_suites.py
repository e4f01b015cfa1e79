import pytest

from feat2go.core import EvaluationRow
from feat2go.core.intervals import interval_of_mean, wilson
from feat2go.core.suites import SuiteSetting
from feat2go.rollouts.suites import summarise_suite


class Weather:
    name = "weather"
    env = "track"
    settings = (
        SuiteSetting("calm", "ID"),
        SuiteSetting("rain", "Wet"),
        SuiteSetting("snow", "Wet"),
        SuiteSetting("wind", "Dry"),
    )


def rows(setting, outcomes):
    return [
        EvaluationRow("Track-v1", "weather", setting, i, ok, ok and i % 2 == 0, 6, 1, 0.0, "", "go")
        for i, ok in enumerate(outcomes)
    ]


ROWS = [
    *rows("calm", [True] * 8),
    *rows("rain", [True] * 4 + [False] * 4),
    *rows("snow", [False] * 8),
    *rows("wind", [True] * 6 + [False] * 2),
    *rows("elsewhere", [True]),
]


def test_categories_are_plain_means_of_their_settings_and_the_last_line_is_out_of_distribution():
    lines = summarise_suite(ROWS, Weather())
    assert [(line.name, line.is_category) for line in lines] == [
        ("ID", True),
        ("calm", False),
        ("Wet", True),
        ("rain", False),
        ("snow", False),
        ("Dry", True),
        ("wind", False),
        ("mean of Wet, Dry", True),
    ]
    assert [line.success_once.rate for line in lines] == pytest.approx([1, 1, 0.25, 0.5, 0, 0.75, 0.75, 0.5])
    assert [line.success_at_end.rate for line in lines][:4] == pytest.approx([0.5, 0.5, 0.125, 0.25])


def test_a_category_of_one_setting_has_its_wilson_interval():
    lines = {line.name: line for line in summarise_suite(ROWS, Weather())}
    for name in ("Dry", "wind"):
        assert (lines[name].success_once.low, lines[name].success_once.high) == pytest.approx(wilson(6, 8))
    assert lines["ID"].success_once.low == pytest.approx(wilson(8, 8)[0])


def test_the_interval_of_a_mean_is_that_of_independent_estimates():
    estimates = [(0.5, 0.2, 0.8), (1.0, 0.6, 1.0)]
    low, high = interval_of_mean(estimates)
    assert low == pytest.approx(0.75 - (0.3**2 + 0.4**2) ** 0.5 / 2)
    assert high == pytest.approx(0.75 + 0.3 / 2)
    assert interval_of_mean(estimates[:1]) == pytest.approx((0.2, 0.8))
    with pytest.raises(ValueError, match="no estimates"):
        interval_of_mean([])


def test_a_setting_without_episodes_is_named():
    with pytest.raises(ValueError, match="'snow'"):
        summarise_suite([row for row in ROWS if row.setting != "snow"], Weather())
