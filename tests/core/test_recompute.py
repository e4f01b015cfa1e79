import copy

import torch
from torch import nn

from feat2go.core.recompute import recompute_activations


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.num_calls = 0

    def forward(self, x, *, scale):
        self.num_calls += 1
        return torch.tanh(self.fc(x)) * scale


def run(block, x):
    block(x, scale=2.0).sum().backward()
    return block.fc.weight.grad


def test_the_same_gradients_from_a_second_computation():
    torch.manual_seed(0)
    plain, x = Counted(), torch.randn(3, 4)
    block = copy.deepcopy(plain)
    recompute_activations([block])
    assert torch.equal(run(block, x), run(plain, x))
    assert (plain.num_calls, block.num_calls) == (1, 2)
    assert block.state_dict().keys() == plain.state_dict().keys()


def test_without_gradients_nothing_is_computed_twice():
    block = Counted()
    recompute_activations([block])
    with torch.no_grad():
        block(torch.zeros(1, 4), scale=1.0)
    assert block.num_calls == 1


def test_a_copy_computes_with_its_own_parameters():
    block = Counted()
    recompute_activations([block])
    clone = copy.deepcopy(block)
    nn.init.zeros_(clone.fc.weight)
    nn.init.zeros_(clone.fc.bias)
    assert not clone(torch.ones(1, 4), scale=1.0).any()
    assert block(torch.ones(1, 4), scale=1.0).any()
