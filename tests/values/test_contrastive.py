"""RFTF's loss of value models: later frames score higher."""

import math

import pytest
import torch

from feat2go.values.heads import contrastive_loss


def logits_of(*values):
    """Two bins, 0 and 1: the read-out is the second's probability, its log-odds the difference of the logits."""
    value = torch.tensor(values)
    return torch.stack([torch.zeros_like(value), torch.logit(value)], dim=1)


def test_by_hand():
    # Episode 7 at times 0, 5 and 2; episode 3 has one frame and no pair.
    logits = logits_of(0.2, 0.6, 0.5, 0.9)
    score = [math.log(v / (1 - v)) for v in (0.2, 0.6, 0.5)]
    pairs = [(1, 0), (2, 0), (1, 2)]
    expected = sum(math.log(1 + math.exp(-(score[late] - score[early]))) for late, early in pairs) / 3
    place = torch.tensor([[7, 0], [7, 5], [7, 2], [3, 9]])
    assert contrastive_loss(logits, place).item() == pytest.approx(expected, rel=1e-5)


def test_it_pulls_later_frames_up_and_earlier_ones_down():
    logits = logits_of(0.5, 0.5, 0.5).requires_grad_()
    contrastive_loss(logits, torch.tensor([[0, 0], [0, 1], [1, 0]])).backward()
    assert logits.grad[0, 1] > 0 > logits.grad[1, 1]
    assert logits.grad[2].abs().sum() == 0


def test_a_batch_without_pairs_has_no_loss_and_no_gradient():
    logits = logits_of(0.2, 0.8).requires_grad_()
    loss = contrastive_loss(logits, torch.tensor([[0, 1], [1, 0]]))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().sum() == 0
