import numpy as np
import pytest

from feat2go.progress.audit.agreement import (
    adjusted_rand,
    boundary_precision,
    boundary_recall,
    frame_accuracy,
    stage_of_frames,
)
from feat2go.progress.audit.bootstrap import bootstrap, mean_of, resample
from feat2go.progress.audit.consistency import explained_variance, milestone_spread
from feat2go.progress.audit.order import max_drawdown, milestone_progress, violation_rate
from feat2go.progress.audit.scores import random_f1


def test_precision_and_recall():
    # 10 and 21 are found, 40 is wrong, 60 is missed.
    assert boundary_precision([10, 21, 40], [9, 22, 60], tolerance=1) == pytest.approx(2 / 3)
    assert boundary_recall([10, 21], [9, 22, 60, 80], tolerance=1) == pytest.approx(1 / 2)
    assert boundary_precision([], [3], tolerance=2) == 0
    assert boundary_precision([], [], tolerance=2) == 1
    assert boundary_recall([3], [], tolerance=2) == 0


def test_stage_of_frames():
    np.testing.assert_array_equal(stage_of_frames([4, 2], 6), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(stage_of_frames([], 3), [0, 0, 0])
    with pytest.raises(ValueError, match="between 0 and 6"):
        stage_of_frames([6], 6)


def test_frame_accuracy_names_stages_as_fits_best():
    # Stage 1 of the prediction is stage 0 of the reference, and covers 3 of its 4 frames.
    assert frame_accuracy(np.array([0, 1, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])) == pytest.approx(5 / 6)
    assert frame_accuracy(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])) == 1


def test_adjusted_rand():
    # Pairs: 2 within both cuts; 3 and 3 within each; 2 of 6 frames: C(6,2) = 15.
    predicted, reference = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    both, left, right = 1 + 3, 3 + 3, 1 + 6
    expected = left * right / 15
    assert adjusted_rand(predicted, reference) == pytest.approx((both - expected) / ((left + right) / 2 - expected))
    assert adjusted_rand(predicted, predicted) == 1
    assert adjusted_rand(np.zeros(5, int), np.zeros(5, int)) == 1
    assert adjusted_rand(np.zeros(6, int), predicted) == 0


def test_violations_and_drawdown():
    values = np.array([0.0, 0.5, 0.3, 0.6, 0.1, 1.0])
    assert violation_rate(values) == pytest.approx(2 / 5)
    assert max_drawdown(values) == pytest.approx(0.5)
    assert violation_rate(np.array([0.2])) == max_drawdown(np.array([0.2])) == 0


def test_milestone_progress_is_linear_in_between():
    np.testing.assert_allclose(milestone_progress([2, 4], 9), [0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 0.75, 5 / 6, 11 / 12, 1])
    # Of two at one frame the last counts; the first and the last frame are none.
    np.testing.assert_allclose(milestone_progress([0, 2, 2, 4], 5), [0, 1 / 3, 2 / 3, 5 / 6, 1])
    np.testing.assert_allclose(milestone_progress([], 3), [0, 0.5, 1])
    np.testing.assert_allclose(milestone_progress([], 1), [1])


def test_spread_is_over_episodes_at_each_milestone():
    table = np.array([[0.1, 0.5], [0.3, 0.5]])
    assert milestone_spread(table) == pytest.approx((np.sqrt(0.02) + 0) / 2)
    # The third milestone was reached once only, so it has no spread.
    assert milestone_spread(np.array([[0.1, np.nan], [0.3, 0.9]])) == pytest.approx(np.sqrt(0.02))
    assert np.isnan(milestone_spread(np.array([[0.1], [np.nan]])))


def test_explained_variance_is_the_squared_correlation():
    rng = np.random.default_rng(0)
    x = [rng.uniform(size=7), rng.uniform(size=5)]
    y = [2 * part + 0.1 * rng.normal(size=len(part)) for part in x]
    expected = np.corrcoef(np.concatenate(x), np.concatenate(y))[0, 1] ** 2
    assert explained_variance(y, x) == pytest.approx(expected)
    assert explained_variance([np.full(7, 0.3)], [x[0]]) == 0
    assert np.isnan(explained_variance([], []))


def test_the_bootstrap_holds_the_figure_and_resamples_within_tasks():
    groups = ["a"] * 3 + ["b"] * 5
    rows = resample(groups, num_resamples=200)
    assert rows.shape == (200, 8)
    assert (rows[:, :3] < 3).all()
    assert (rows[:, 3:] >= 3).all()
    np.testing.assert_array_equal(rows, resample(groups, num_resamples=200))
    values = [0.0, 1.0, 2.0, np.nan, 4.0, 5.0, 6.0, 7.0]
    estimate = bootstrap(mean_of(values), rows).estimate()
    assert estimate.mean == pytest.approx(25 / 7)
    assert estimate.low < estimate.mean < estimate.high
    assert np.isnan(bootstrap(mean_of([np.nan] * 8), rows).estimate().mean)


def test_paired_differences_are_narrower_than_either():
    rng = np.random.default_rng(0)
    values = rng.normal(size=20)
    rows = resample(["a"] * 20)
    left, right = bootstrap(mean_of(values + 0.1), rows), bootstrap(mean_of(values), rows)
    difference = left.minus(right).estimate()
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert left.estimate().high - left.estimate().low > 0.1


def test_random_cuts_are_an_average_over_draws():
    # With a cut at every frame there is only one way: 3 cuts, 1 wanted, 1 found.
    assert random_f1([2], 4, 4, tolerance=0) == pytest.approx(0.5)
    assert random_f1([2], 4, 9, tolerance=0) == pytest.approx(0.5)
    assert random_f1([50], 100, 2, tolerance=0) < 0.2
