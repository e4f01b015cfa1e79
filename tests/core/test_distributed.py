"""Over several processes: tests/dist."""

import threading

import pytest
import torch

from feat2go.core import distributed
from feat2go.core.distributed import global_mean_std, global_sum


def test_mean_and_deviation_of_what_counts():
    values = torch.tensor([[1.0, 100.0], [3.0, 5.0]])
    mean, std = global_mean_std(values, torch.tensor([[True, False], [True, True]]))
    assert mean == pytest.approx(3.0)
    assert std == pytest.approx((8 / 3) ** 0.5)


def test_of_nothing():
    assert global_mean_std(torch.ones(2), torch.zeros(2, dtype=torch.bool)) == (0.0, 0.0)


def test_far_from_zero_the_deviation_is_exact():
    values = 1e9 + torch.tensor([-1.0, 1.0], dtype=torch.float64)
    assert global_mean_std(values, torch.ones(2, dtype=torch.bool)) == (1e9, 1.0)


def test_alone_a_sum_is_what_it_was():
    values = torch.tensor([1.0, 2.0])
    assert global_sum(values) is values


def test_two_that_call_get_the_statistics_of_all(monkeypatch):
    """Threads for processes; one of them has nothing to add."""
    barrier, parts, results = threading.Barrier(2), {}, {}

    def sum_over_both(values):
        parts[threading.get_ident()] = values
        barrier.wait()
        total = sum(parts.values())
        barrier.wait()
        return total

    monkeypatch.setattr(distributed, "global_sum", sum_over_both)
    values = torch.arange(7.0)
    shares = {"first": values, "second": torch.zeros(3)}

    def run(name):
        results[name] = global_mean_std(shares[name], torch.full((len(shares[name]),), name == "first"))

    threads = [threading.Thread(target=run, args=(name,)) for name in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["first"] == results["second"] == pytest.approx((3.0, 2.0))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"same shape; got \(2,\) and \(3,\)"):
        global_mean_std(torch.zeros(2), torch.zeros(3, dtype=torch.bool))
