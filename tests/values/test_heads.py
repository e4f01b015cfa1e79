import math

import numpy as np
import pytest
import torch

from feat2go.values.heads import bin_centers, expectation, hl_gauss, two_hot, value_loss


def test_two_hot_by_hand():
    # Five bins at 0, .25, .5, .75, 1: 0.3 is a fifth of the way from .25 to .5.
    expected = torch.tensor([[0, 0.8, 0.2, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 0]])
    torch.testing.assert_close(two_hot(torch.tensor([0.3, 0.0, 1.0, 0.5]), 5), expected)


def test_hl_gauss_is_the_normalised_gaussian_mass_of_each_bin():
    target, num_bins, ratio = 0.3, 5, 0.75
    width = 1 / (num_bins - 1)
    edges = (np.arange(num_bins + 1) - 0.5) * width
    cumulative = np.array([0.5 * (1 + math.erf((edge - target) / (ratio * width * math.sqrt(2)))) for edge in edges])
    expected = torch.from_numpy(np.diff(cumulative) / (cumulative[-1] - cumulative[0])).float()
    torch.testing.assert_close(hl_gauss(torch.tensor([target]), num_bins, ratio)[0], expected, rtol=1e-5, atol=1e-7)


def test_the_expectation_of_a_two_hot_target_is_the_target():
    target = torch.linspace(0, 1, 1001, dtype=torch.float64)
    coded = two_hot(target, 201)
    torch.testing.assert_close(coded.sum(dim=1), torch.ones(1001))
    torch.testing.assert_close(coded @ bin_centers(201), target.float(), rtol=0, atol=1e-6)


def test_the_expectation_of_an_hl_gauss_target_is_the_target_away_from_the_ends():
    target = torch.linspace(0, 1, 1001)
    coded = hl_gauss(target, 201)
    error = (coded @ bin_centers(201) - target).abs()
    torch.testing.assert_close(coded.sum(dim=1), torch.ones(1001))
    assert error[(target > 0.02) & (target < 0.98)].max() < 1e-5
    assert error.max() < 0.003  # at 0 and 1 the Gaussian is cut: less than a bin (0.005)


def test_targets_outside_are_clamped():
    outside, ends = torch.tensor([-0.5, 1.5]), torch.tensor([0.0, 1.0])
    for coding in (two_hot, hl_gauss):
        torch.testing.assert_close(coding(outside, 11), coding(ends, 11), rtol=0, atol=0)


def test_expectation_reads_out_logits_of_any_dtype_in_float32():
    logits = torch.randn(3, 201)
    expected = (logits.double().softmax(-1) * torch.linspace(0, 1, 201, dtype=torch.float64)).sum(-1).float()
    torch.testing.assert_close(expectation(logits), expected, rtol=1e-5, atol=1e-6)
    assert expectation(logits.bfloat16()).dtype == torch.float32
    one_bin = torch.full((1, 5), -1e4)
    one_bin[0, 3] = 1e4
    assert expectation(one_bin) == 0.75


def test_losses_by_hand():
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0.0, 0.2, 0.55, 1.0])
    log_probs = logits.double().log_softmax(-1)
    for loss, coding in (("two_hot", two_hot), ("hl_gauss", hl_gauss)):
        expected = -(coding(target, 7).double() * log_probs).sum(-1).mean()
        torch.testing.assert_close(value_loss(logits, target, loss).double(), expected, rtol=1e-5, atol=1e-6)
    expected = (expectation(logits) - target).square().mean()
    torch.testing.assert_close(value_loss(logits, target, "mse"), expected)


@pytest.mark.parametrize("loss", ["hl_gauss", "two_hot", "mse"])
def test_every_loss_is_least_near_its_own_target(loss):
    logits = torch.zeros(1, 51, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        optimizer.zero_grad()
        value_loss(logits, torch.tensor([0.37]), loss).backward()
        optimizer.step()
    assert expectation(logits).item() == pytest.approx(0.37, abs=2e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bin_centers(1), "at least 2"),
        (lambda: hl_gauss(torch.zeros(1), 5, 0.0), "sigma_ratio must be positive"),
        (lambda: value_loss(torch.zeros(2, 5), torch.zeros(2, 1)), "expected logits"),
        (lambda: value_loss(torch.zeros(2, 5), torch.zeros(2), "huber"), "unknown value loss 'huber'"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
