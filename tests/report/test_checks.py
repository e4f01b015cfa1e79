import pytest

from feat2go.report.checks import first_ratio, reward_hacking, separation


@pytest.fixture
def metrics(tmp_path, make, find):
    def metrics(**changes):
        make.fit(tmp_path / "ppo", make.rl_config(), make.rl_rows(**changes))
        return find(tmp_path).fits[0].metrics

    return metrics


def test_failures_that_look_better_while_success_is_flat_are_a_warning(metrics):
    check = reward_hacking(metrics(num_epochs=9, success=lambda e: 0.2, failure_value=lambda e: 0.3 + 0.05 * e))
    assert check.verdict == "warning"
    assert "failures went from 0.35 to 0.65, and success from 20.0 % to 20.0 %" in check.text.replace("\xa0", " ")


@pytest.mark.parametrize(
    ("success", "failure_value"),
    [(lambda e: 0.1 * e, lambda e: 0.3 + 0.05 * e), (lambda e: 0.2, lambda e: 0.3), (lambda e: 0.2, lambda e: 0.3 - e)],
)
def test_rising_success_or_flat_failures_are_fine(metrics, success, failure_value):
    assert reward_hacking(metrics(success=success, failure_value=failure_value)).verdict == "ok"


def test_too_few_rollouts_are_unknown(metrics):
    assert reward_hacking(metrics(num_epochs=5)).verdict == "unknown"


def test_without_values_of_failures_hacking_is_unknown(metrics):
    check = reward_hacking(metrics(failure_value=lambda e: "nan"))
    assert check.verdict == "unknown"
    assert "data.value_model" in check.text


@pytest.mark.parametrize(
    ("failure_value", "verdict"), [(0.4, "ok"), (0.79, "ok"), (0.81, "warning"), (0.95, "warning"), ("nan", "unknown")]
)
def test_failures_that_look_like_successes_are_a_warning(metrics, failure_value, verdict):
    # Successes have 0.9.
    assert separation(metrics(failure_value=lambda e: failure_value)).verdict == verdict


@pytest.mark.parametrize(("error", "verdict"), [(0.0, "ok"), (0.05, "ok"), (0.06, "warning"), ("nan", "warning")])
def test_first_ratios_that_leave_1_are_a_warning(tmp_path, make, find, error, verdict):
    rows = make.rl_rows()
    rows[2]["train/first_ratio_error"] = error
    make.fit(tmp_path / "ppo", make.rl_config(), rows)
    check = first_ratio(find(tmp_path).fits[0].metrics)
    assert check.verdict == verdict
    assert ("not a number in 1 rollout" in check.text) == (error == "nan")


def test_a_first_ratio_that_was_not_logged_is_unknown(tmp_path, make, find):
    make.fit(tmp_path / "ppo", make.rl_config(), [{"epoch": 0, "rollout/env_steps": 10}])
    assert first_ratio(find(tmp_path).fits[0].metrics).verdict == "unknown"
