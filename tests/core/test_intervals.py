import pytest
from scipy.stats import binomtest

from feat2go.core.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (1, 1), (0, 128), (128, 128), (1, 7), (64, 128), (999, 1000)]
)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_agrees_with_scipy(successes, trials, level):
    expected = binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert wilson(successes, trials, level) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


def test_worked_example():
    # Written out by hand: z = 1.959964, p = 0.7, n = 10.
    assert wilson(7, 10) == pytest.approx((0.396778, 0.892209), abs=1e-6)


def test_stays_inside_the_unit_interval():
    assert wilson(0, 50)[0] == 0.0
    assert wilson(50, 50)[1] == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match=f"got {successes} of {trials}"):
        wilson(successes, trials)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_refuses_a_level_that_is_no_probability(level):
    with pytest.raises(ValueError, match="level is a probability"):
        wilson(1, 2, level)
