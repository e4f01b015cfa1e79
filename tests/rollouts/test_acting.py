import pytest
import torch
from torch import nn

from feat2go.rollouts.acting import acting


@pytest.fixture
def policy():
    """In train mode, with a frozen part that is not."""
    policy = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()), nn.Dropout())
    policy[1].eval()
    return policy


def modes(policy):
    return [part.training for part in policy.modules()]


def test_every_part_gets_its_own_mode_back(policy):
    before = modes(policy)
    assert before == [True, True, False, False, False, True]
    with acting(policy):
        assert not any(modes(policy))
        actions = policy(torch.ones(3, 2))
    assert modes(policy) == before
    assert not actions.requires_grad


def test_it_does_after_an_error_too(policy):
    before = modes(policy)
    with pytest.raises(KeyError), acting(policy):
        raise KeyError
    assert modes(policy) == before
    assert torch.is_grad_enabled()


def test_what_a_rollout_computed_can_take_part_in_an_update(policy):
    """As ``torch.inference_mode`` would not allow."""
    with acting(policy):
        features = policy[0](torch.ones(3, 2))
    policy[0](features).sum().backward()
    assert policy[0].weight.grad is not None


def test_a_policy_that_is_no_module_has_no_modes():
    with acting(object()):
        assert not torch.is_grad_enabled()
