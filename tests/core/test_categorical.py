import pytest
import torch

from feat2go.core.categorical import logprob_and_entropy, sample_categories, sample_tokens, token_logprob


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


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_gradient_of_logprob_and_entropy(temperature):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 5, dtype=torch.float64, generator=random, requires_grad=True)
    tokens = torch.randint(5, (3, 2), generator=random)
    assert torch.autograd.gradcheck(lambda scores: logprob_and_entropy(scores, tokens, temperature), logits)


def test_logprob_and_entropy_are_those_of_categories():
    random = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(4, 3, 256, generator=random)
    tokens = torch.randint(256, (4, 3), generator=random)
    expected = torch.distributions.Categorical(logits=logits.double() / 1.6)
    logprob, entropy = logprob_and_entropy(logits, tokens, 1.6)
    torch.testing.assert_close(logprob.double(), expected.log_prob(tokens), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(entropy.double(), expected.entropy(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(token_logprob(logits, tokens, 1.6), logprob, rtol=0, atol=0)


def test_greedy_tokens_have_the_logprob_of_temperature_1():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 3.5]])
    tokens = sample_tokens(logits, 0.0)
    assert tokens.tolist() == [1, 2]
    torch.testing.assert_close(token_logprob(logits, tokens, 0.0), logprob_and_entropy(logits, tokens)[0])


def test_temperature_sharpens():
    logits = torch.tensor([0.0, 1.0]).expand(20_000, 2)
    share = [sample_tokens(logits, t, torch.Generator().manual_seed(0)).double().mean().item() for t in (1.0, 0.5)]
    # Five deviations of the mean.
    assert share == pytest.approx([0.73106, 0.88080], abs=0.016)
    with pytest.raises(ValueError, match="temperature must be at least 0; got -1"):
        sample_tokens(logits, -1.0)
