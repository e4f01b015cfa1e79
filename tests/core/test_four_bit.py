import sys

import pytest
import torch
from torch import nn

from feat2go.core.four_bit import quantise_4bit
from feat2go.core.lora import add_lora, merge_lora


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64, bias=False)).bfloat16()


def test_without_bitsandbytes_the_error_says_what_to_install(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'feat2go\\[4bit\\]'"):
        quantise_4bit(network)


def test_a_quarter_of_the_memory_nearly_the_same_numbers_and_adapters_that_learn(network):
    pytest.importorskip("bitsandbytes")
    x = torch.randn(8, 64).bfloat16()
    expected = network(x).float()
    num_bytes = network[2].weight.nbytes
    assert quantise_4bit(network) == ["0", "2"]
    assert network[2].weight.nbytes == num_bytes // 4
    # NF4 keeps 4 bits: about 10 % of a weight's deviation is lost, so is as much of the output's.
    error = (network(x).float() - expected).std() / expected.std()
    assert 0.01 < float(error.detach()) < 0.3
    add_lora(network, 2, 2)
    network(x).float().square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is not None] == [
        f"{layer}.lora_{part}.default.weight" for layer in (0, 2) for part in "AB"
    ]
    with pytest.raises(ValueError, match="4-bit"):
        merge_lora(network)


def test_what_is_left_out_stays(network):
    pytest.importorskip("bitsandbytes")
    assert quantise_4bit(network, exclude=["2"]) == ["0"]
    assert type(network[2]) is nn.Linear
