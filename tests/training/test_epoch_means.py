import math

import pytest
import torch

from feat2go.training.epoch_means import EpochMeans


def test_means_are_weighted_by_what_counts():
    means = EpochMeans()
    means.add({"kl": torch.tensor(1.0), "entropy": torch.tensor(4.0)}, weight=3)
    means.add({"kl": torch.tensor(5.0), "entropy": torch.tensor(4.0)}, weight=1)
    means.add({"stopped": 0.0})
    means.add({"stopped": 1.0})
    assert means.compute() == {"kl": pytest.approx(2.0), "entropy": pytest.approx(4.0), "stopped": 0.5}


def test_what_does_not_count_need_not_be_a_number():
    means = EpochMeans()
    means.add({"kl": torch.tensor(math.nan)}, weight=0)
    means.add({"kl": torch.tensor(2.0)}, weight=2)
    assert means.compute() == {"kl": 2.0}
    means.add({"kl": torch.tensor(math.nan)}, weight=0)
    assert math.isnan(means.compute()["kl"])


def test_nothing_of_an_epoch_is_left_in_the_next():
    means = EpochMeans()
    value = torch.tensor(1.0, requires_grad=True)
    means.add({"kl": value})
    assert means.compute() == {"kl": 1.0}
    assert means.compute() == {}


def test_more_reports_than_are_kept():
    means = EpochMeans()
    for number in range(1000):
        means.add({"kl": torch.tensor(float(number)), "entropy": 2.0}, weight=number % 3)
    weights = [number % 3 for number in range(1000)]
    expected = sum(number * weight for number, weight in enumerate(weights)) / sum(weights)
    assert means.compute() == {"kl": pytest.approx(expected, rel=1e-6), "entropy": 2.0}
