import math

import pytest
import torch

from feat2go.algorithms.losses import (
    aggregate,
    clipped_surrogate,
    explained_variance,
    kl_to_reference,
    value_loss,
)

TRUE = torch.ones(1, 1, dtype=torch.bool)


def surrogate(ratio, advantage, **bounds):
    logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64)
    bounds = {"clip_low": 0.2, "clip_high": 0.28, **bounds}
    return clipped_surrogate(logprob, torch.zeros_like(logprob), torch.tensor([[advantage]]), TRUE, **bounds).item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, -2.0),
        (1.5, 2.0, -2.56),  # clipped above at 1.28
        (0.5, 2.0, -1.0),  # not clipped: the minimum is the unclipped one
        (0.5, -2.0, 1.6),  # clipped below at 0.8
        (1.5, -2.0, 3.0),
    ],
)
def test_clipped_surrogate_by_hand(ratio, advantage, expected):
    assert surrogate(ratio, advantage) == pytest.approx(expected, rel=1e-9)


def test_dual_clip_bounds_negative_advantages_only():
    assert surrogate(10.0, -2.0) == pytest.approx(20.0)
    assert surrogate(10.0, -2.0, dual_clip=3.0) == pytest.approx(6.0)
    assert surrogate(0.01, 2.0, dual_clip=3.0) == pytest.approx(-0.02)


def test_gradient_is_that_of_the_log_prob_at_ratio_one():
    logprob = torch.zeros(1, 1, requires_grad=True)
    clipped_surrogate(logprob, torch.zeros(1, 1), torch.tensor([[3.0]]), TRUE, 0.2, 0.2).backward()
    assert logprob.grad.item() == pytest.approx(-3.0)


def test_mask_takes_entries_out_of_mean_and_gradient():
    logprob = torch.tensor([[0.0, 50.0]], requires_grad=True)
    mask = torch.tensor([[True, False]])
    loss = clipped_surrogate(logprob, torch.zeros(1, 2), torch.tensor([[2.0]]), mask, 0.2, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(-2.0)
    assert logprob.grad[0, 1].item() == 0.0


def test_aggregate_levels():
    logprob = torch.arange(1.0, 7.0)[None]  # C = 2, A = 3
    mask = torch.tensor([[True, True, True, True, False, False]])
    token, token_mask = aggregate(logprob, mask, "token", 3)
    action, action_mask = aggregate(logprob, mask, "action", 3)
    chunk, chunk_mask = aggregate(logprob, mask, "chunk", 3)
    assert token is logprob
    assert token_mask is mask
    assert action.tolist() == [[6.0, 4.0]]
    assert action_mask.tolist() == [[True, True]]
    assert chunk.tolist() == [[10.0]]
    assert chunk_mask.tolist() == [[True]]
    with pytest.raises(ValueError, match="unknown log-prob level 'word'; known: token, action, chunk"):
        aggregate(logprob, mask, "word", 3)


def test_value_loss_is_huber():
    loss = value_loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 30.0]), huber_delta=10.0)
    assert loss.item() == pytest.approx((0.5 + 10 * (30 - 5)) / 2)


def test_k3_is_the_kl_on_average_and_never_negative():
    start = torch.tensor([0.2, 0.3, 0.5]).log()
    now = torch.tensor([0.5, 0.25, 0.25]).log()
    exact = (now.exp() * (now - start)).sum().item()
    per_token = [kl_to_reference(now[i].view(1, 1), start[i].view(1, 1), TRUE).item() for i in range(3)]
    assert min(per_token) >= 0
    assert sum(p * k for p, k in zip(now.exp().tolist(), per_token, strict=True)) == pytest.approx(exact, rel=1e-5)


def test_explained_variance():
    target = torch.tensor([0.0, 1.0, 2.0])
    assert explained_variance(target, target).item() == pytest.approx(1.0)
    assert explained_variance(torch.ones(3), target).item() == pytest.approx(0.0)
