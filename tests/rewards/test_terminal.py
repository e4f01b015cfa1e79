import pytest
import torch

from feat2go.rewards import Sparse, TerminalValue

SUCCESS = torch.tensor([True, False, True])
VALUE = torch.tensor([0.3, 0.25, 0.9])


def test_terminal_value_is_one_for_success_and_the_prediction_for_failure():
    assert TerminalValue()(SUCCESS, VALUE).tolist() == [1.0, 0.25, 1.0]


def test_sparse_ignores_the_prediction():
    assert Sparse()(SUCCESS, VALUE).tolist() == [1.0, 0.0, 1.0]
    assert Sparse()(SUCCESS, torch.full((3,), torch.nan)).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("bad", [1.2, -0.1, float("nan")])
def test_values_outside_the_unit_interval_are_refused(bad):
    with pytest.raises(ValueError, match=r"terminal values lie in \[0, 1\]"):
        TerminalValue()(torch.tensor([False]), torch.tensor([bad]))


@pytest.mark.parametrize("shaper", [TerminalValue(), Sparse()])
def test_shapes_must_match(shaper):
    with pytest.raises(ValueError, match=r"both \(E,\)"):
        shaper(SUCCESS, VALUE[:2])


def test_no_episode_no_reward():
    assert len(Sparse()(torch.zeros(0, dtype=torch.bool), torch.zeros(0))) == 0
    assert len(TerminalValue()(torch.zeros(0, dtype=torch.bool), torch.zeros(0))) == 0
