import numpy as np
import pytest
import torch

from feat2go.core.action_bins import NUM_BINS, from_bins, to_bins


@pytest.mark.parametrize(
    ("action", "expected"), [(-1.0, 0), (0.0, 127), (0.999999, 254), (1.0, 255), (-7.0, 0), (3.0, 255)]
)
def test_known_bins(action, expected):
    assert to_bins(torch.tensor(action)).item() == expected


def test_agrees_with_digitize():
    actions = torch.linspace(-1, 1, 2001)
    expected = np.digitize(actions.double().numpy(), np.linspace(-1, 1, NUM_BINS)) - 1
    assert to_bins(actions).tolist() == expected.tolist()


def test_decoding_is_within_half_a_bin():
    actions = torch.rand(1000) * 2 - 1
    assert (from_bins(to_bins(actions)) - actions).abs().max() <= 1 / 255 + 1e-6


def test_the_last_two_bins_share_a_midpoint():
    assert from_bins(torch.tensor([254, 255])).tolist() == pytest.approx([0.99607843, 0.99607843])
