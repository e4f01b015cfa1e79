from functools import partial

import pytest
import torch

from feat2go.values import HashedWords, SmallValue, ValueNetwork
from feat2go.values.convolution import ConvolutionTrunk

IMAGES = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INSTRUCTION = ["push the cube", "push the cube", "stack the red cube on the green cube"]


@pytest.fixture(params=["transformer", "convolution"])
def network(patch_means, request):
    torch.manual_seed(0)
    return SmallValue(
        patch_means, partial(HashedWords, num_buckets=32), num_bins=11, width=16, num_layers=1, trunk=request.param
    )


def test_it_is_a_value_network(network):
    assert isinstance(network, ValueNetwork)
    assert network.fingerprints == {"encoder": "patch-means-1.0", "text": "hashed-words-32"}


def test_prepare_gives_patch_features_in_the_dtype_of_the_cache(network):
    prepared = network.prepare(IMAGES)
    assert prepared.shape == (3, 4, 3)
    assert prepared.dtype == torch.float16
    quarters = IMAGES.float().reshape(3, 2, 4, 2, 4, 3).mean(dim=(2, 4)).reshape(3, 4, 3) / 255
    torch.testing.assert_close(prepared.float(), quarters, rtol=1e-3, atol=0)  # float16


def test_the_output_depends_on_image_and_instruction(network):
    network.eval()
    logits = network(network.prepare(IMAGES), INSTRUCTION)
    assert logits.shape == (3, 11)
    assert not torch.allclose(logits[0], logits[1])
    other = network(network.prepare(IMAGES), ["pull the cube", *INSTRUCTION[1:]])
    assert not torch.allclose(other[0], logits[0])
    torch.testing.assert_close(other[1:], logits[1:])


def test_the_frozen_encoder_stays_as_it_is(network):
    network.train()
    network(network.prepare(IMAGES), INSTRUCTION).sum().backward()
    encoder = network.encoder.part
    assert encoder.weight.grad is None
    assert not encoder.weight.requires_grad
    assert not encoder.noise.training
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_the_state_holds_the_trained_part_only_and_loads_strictly(network, patch_means):
    state = network.state_dict()
    assert not any(name.startswith(("encoder.", "text.")) for name in state)
    twin = SmallValue(
        partial(patch_means, weight=2.0),
        partial(HashedWords, 32),
        num_bins=11,
        width=16,
        num_layers=1,
        trunk="convolution" if isinstance(network.trunk, ConvolutionTrunk) else "transformer",
    )
    twin.load_state_dict(state)
    assert twin.encoder.part.weight == 2.0
    assert all(torch.equal(tensor, state[name]) for name, tensor in twin.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        twin.load_state_dict({name: tensor for name, tensor in state.items() if name != "position"})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        twin.load_state_dict({**state, "extra": torch.zeros(1)})


def test_width_must_fit_the_heads(patch_means):
    with pytest.raises(ValueError, match="multiple of num_heads"):
        SmallValue(patch_means, width=10, num_heads=4)


def test_an_unknown_trunk_is_refused(patch_means):
    with pytest.raises(ValueError, match="known: transformer, convolution"):
        SmallValue(patch_means, trunk="conv")
