import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from feat2go.core.slope import local_slope

curves = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30)


def test_hand_worked_values():
    # Over (0, 1, 5): sum of (tau - 1) * y = 5, divided by 2. The tail is fitted over (1, 5) and (5).
    curve = torch.tensor([0.0, 1.0, 5.0])
    torch.testing.assert_close(local_slope(curve, 3), torch.tensor([2.5, 4.0, 0.0]))
    torch.testing.assert_close(local_slope(curve, 2), torch.tensor([1.0, 4.0, 0.0]))


@settings(deadline=None)
@given(curves, st.integers(2, 8))
def test_agrees_with_polyfit_in_float64(values, window):
    slope = local_slope(torch.tensor(values, dtype=torch.float64), window)
    assert slope.dtype == torch.float64
    for t in range(len(values)):
        part = values[t : t + window]
        expected = np.polyfit(np.arange(len(part)), part, 1)[0] if len(part) > 1 else 0.0
        assert slope[t].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_line_has_its_slope_everywhere(dtype):
    # Multiples of 1/8 are exact in every dtype.
    slope = local_slope(torch.arange(10).to(dtype) / 8, 4)
    assert slope.dtype == torch.float32
    assert slope.tolist() == [0.125] * 9 + [0.0]


@pytest.mark.parametrize("num_frames", [1, 2, 3, 20])
def test_a_constant_has_no_slope_at_all(num_frames):
    assert not local_slope(torch.full((num_frames,), 0.857), 5).any()


def test_a_window_longer_than_the_curve_takes_what_there_is():
    curve = torch.tensor([3.0, 1.0, 2.0, 7.0])
    torch.testing.assert_close(local_slope(curve, 100), local_slope(curve, 4))


def test_refuses_what_has_no_slope():
    for shape in ((0,), (3, 2)):
        with pytest.raises(ValueError, match=r"shape \(T,\)"):
            local_slope(torch.zeros(shape), 3)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            local_slope(torch.tensor([0.0, bad]), 3)
    with pytest.raises(ValueError, match="at least 2 frames; got 1"):
        local_slope(torch.zeros(4), 1)
