import pytest
import torch

from feat2go.core.categorical import sample_categories


def drawn(probs, num_draws, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return sample_categories(probs.expand(num_draws, -1), generator)


def test_categories_come_as_often_as_they_should():
    """Pearson's statistic of 200,000 draws, far out in whose distribution a wrong cell would put it."""
    probs = torch.tensor([0.5, 0.0, 1e-3, 0.2, 0.25, 0.049, 0.0])
    num_draws = 200_000
    counts = torch.bincount(drawn(probs, num_draws), minlength=len(probs))
    assert counts[probs == 0].tolist() == [0, 0]
    expected = (probs * num_draws)[probs > 0]
    # 4 degrees of freedom: above 23.5 in one of ten thousand seeds.
    assert ((counts[probs > 0] - expected) ** 2 / expected).sum() < 23.5


def test_it_inverts_the_cumulated_probabilities():
    probs = torch.rand(4, 3, 256, generator=torch.Generator().manual_seed(1))
    uniform = 1 - torch.rand(4, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    cumulated = probs.double().cumsum(-1)
    expected = (cumulated < uniform * cumulated[..., -1:]).sum(-1)
    assert torch.equal(sample_categories(probs, torch.Generator().manual_seed(2)), expected)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_range_draw_no_category_of_zero(monkeypatch, uniform):
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.full(shape, uniform, dtype=torch.float64))
    probs = torch.tensor([[0.0, 0.0, 0.3, 0.0, 0.4, 0.3 + 1e-7, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    assert sample_categories(probs).tolist() == [2 if uniform else 5, 1]


def test_rare_categories_behind_a_frequent_one_are_drawn(monkeypatch):
    """In float32, the sums would lose them."""
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.zeros(shape, dtype=torch.float64))
    assert sample_categories(torch.cat([torch.tensor([2.0**24]), torch.ones(100)])) == 100


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_what_is_no_distribution_is_refused(value):
    with pytest.raises(ValueError, match="probabilities"):
        sample_categories(torch.tensor([[0.5, 0.5], [value, 0.0]]))
