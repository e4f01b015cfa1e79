from functools import partial

import pytest
import torch
from checkpoints import make_openvla

from feat2go.policies import OpenVLA, OpenVLAOFT, TinyVLA
from feat2go.registry import VALUES
from feat2go.values import FrozenValue, ValueNetwork, VLABackboneValue

IMAGES = torch.randint(0, 256, (3, 30, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INSTRUCTION = ["put the carrot on the plate", "stack", "open it"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(make_openvla(tmp_path_factory.mktemp("openvla")))


@pytest.fixture
def make_factory(checkpoint):
    def make(policy=OpenVLA, **arguments):
        made = partial(policy, checkpoint=checkpoint, dtype="float32", **arguments)
        return partial(VLABackboneValue, policy=made, num_bins=11, head_width=8)

    return make


@pytest.fixture
def make(make_factory):
    def build(*args, **arguments):
        torch.manual_seed(0)
        return make_factory(*args, **arguments)()

    return build


def test_the_registered_name():
    assert VALUES.get("vla_backbone") is VLABackboneValue


@pytest.mark.parametrize("policy", [OpenVLA, OpenVLAOFT])
def test_rows_see_their_own_image_and_instruction(make, policy):
    network = make(policy).eval()
    assert isinstance(network, ValueNetwork)
    logits = network(network.prepare(IMAGES), INSTRUCTION)
    assert logits.shape == (3, 11)
    alone = [network(IMAGES[i : i + 1], INSTRUCTION[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(logits, torch.cat(alone), rtol=1e-5, atol=1e-5)
    assert (logits - network(255 - IMAGES, INSTRUCTION)).abs().amax(dim=1).min() > 1e-6
    assert (logits[0] - network(IMAGES, ["close it", *INSTRUCTION[1:]])[0]).abs().max() > 1e-6


def test_it_begins_with_the_policys_weights_and_reads_the_value_token_behind_the_prompt(make, checkpoint):
    network = make().eval()
    policy = OpenVLA(checkpoint, dtype="float32")
    inputs = policy.preprocess(IMAGES[:1], INSTRUCTION[:1])
    _, projected = policy.network.see(inputs["pixel_values"], inputs["input_ids"], inputs["attention_mask"].bool())
    llama = policy.network.language_model
    words = llama.get_input_embeddings()(inputs["input_ids"])
    sequence = torch.cat([words[:, :1], projected, words[:, 1:], network.value_token[None, None]], dim=1)
    hidden = llama.model(inputs_embeds=sequence).last_hidden_state[:, -1]
    torch.testing.assert_close(network(IMAGES[:1], INSTRUCTION[:1]), network.head(hidden), rtol=1e-5, atol=1e-5)


def test_the_backbone_or_its_adapters_are_trained_with_token_and_head(make):
    for network, has_adapters in ((make(), False), (make(lora_rank=2), True)):
        network(IMAGES, INSTRUCTION).logsumexp(dim=1).sum().backward()
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        assert all(p.grad is not None for p in trained.values())
        assert {"value_token", "head.0.weight"} < trained.keys() == network.state_dict().keys()
        assert not any("lm_head" in name for name in trained)
        in_network = [name for name in trained if name.startswith("network.")]
        assert in_network
        assert all((".lora_" in name) == has_adapters for name in in_network)


@pytest.mark.parametrize("arguments", [{}, {"lora_rank": 2}], ids=["full", "lora"])
def test_what_is_saved_predicts_the_same(make_factory, tmp_path, arguments):
    factory = make_factory(**arguments)
    value = FrozenValue(factory(), factory)
    value.save(tmp_path / "value")
    loaded = FrozenValue.load(tmp_path / "value")
    torch.testing.assert_close(
        loaded.predict(IMAGES, INSTRUCTION), value.predict(IMAGES, INSTRUCTION), rtol=1e-5, atol=1e-6
    )


def test_a_policy_without_a_language_model_is_refused():
    with pytest.raises(ValueError, match="openvla or openvla_oft; got TinyVLA"):
        VLABackboneValue(partial(TinyVLA, state_dim=6, image_size=32, width=16))
