import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from feat2go.core.ordering import pair_accuracy, voc

# A coarse grid, so that ties are common.
values_with_ties = st.lists(st.integers(0, 6).map(lambda n: n / 4), min_size=2, max_size=25)


def test_hand_worked_values():
    # Ranks 1, 3, 2: 1 - 6 * (0 + 1 + 1) / (3 * 8) = 0.5; two of three pairs rise.
    assert voc([0.1, 0.9, 0.4]) == pytest.approx(0.5)
    assert pair_accuracy([0.1, 0.9, 0.4]) == pytest.approx(2 / 3)
    # One tie, two rises.
    assert pair_accuracy([0.5, 0.5, 0.8]) == pytest.approx(2.5 / 3)


def test_perfect_and_reversed_order():
    rising = torch.linspace(0, 1, 9) ** 3
    assert voc(rising) == pytest.approx(1)
    assert pair_accuracy(rising) == 1
    assert voc(rising.flip(0)) == pytest.approx(-1)
    assert pair_accuracy(rising.flip(0)) == 0


@settings(deadline=None)
@given(values_with_ties)
def test_voc_is_scipys_spearman(values):
    expected = spearmanr(values, range(len(values))).statistic if len(set(values)) > 1 else 0.0
    assert voc(values) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(values_with_ties)
def test_pair_accuracy_counts_every_pair(values):
    scores = [1.0 if b > a else 0.5 if a == b else 0.0 for a, b in itertools.combinations(values, 2)]
    assert pair_accuracy(values) == pytest.approx(np.mean(scores), abs=1e-12)


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3, 0.3]])
def test_nothing_to_order_scores_as_chance(values):
    assert voc(values) == 0
    assert pair_accuracy(values) == 0.5


def test_takes_tensors_arrays_and_lists_alike():
    values = [0.0, 0.5, 0.25]
    for given_as in (values, np.array(values), torch.tensor(values), torch.tensor(values, dtype=torch.float16)):
        assert voc(given_as) == pytest.approx(0.5)
        assert pair_accuracy(given_as) == pytest.approx(2 / 3)


@pytest.mark.parametrize("measure", [voc, pair_accuracy])
def test_refuses_what_has_no_order(measure):
    for bad in ([], [[0.0, 1.0]]):
        with pytest.raises(ValueError, match=r"shape \(T,\)"):
            measure(bad)
    with pytest.raises(ValueError, match="finite"):
        measure([0.0, float("nan")])
