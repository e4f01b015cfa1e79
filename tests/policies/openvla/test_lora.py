"""Adapters on OpenVLA and OpenVLA-OFT: what learns, what is saved, what comes back."""

import json

import pytest
import torch
from safetensors import safe_open

from feat2go.policies import OpenVLA, OpenVLAOFT
from feat2go.policies.load import load_policy, without_frozen

POLICIES = {"openvla": OpenVLA, "openvla_oft": OpenVLAOFT}


def build(tiny, name, **settings):
    torch.manual_seed(0)
    chunk = {"chunk": 2} if name == "openvla_oft" else {}
    return POLICIES[name](str(tiny), **{"lora_rank": 2, **chunk, **settings})


def stir(policy):
    """Adapters that do something: their second half starts at zero."""
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.05)
    return policy


def inputs_of(policy):
    pictures = torch.randint(0, 256, (2, 28, 28, 3), generator=torch.Generator().manual_seed(0)).byte()
    return policy.preprocess({"base": pictures}, ["put the red cube on the plate", "lift"], torch.zeros(2, 8))


def sample(policy, inputs):
    return policy.act(temperature=1.0, generator=torch.Generator().manual_seed(0), **inputs)


@pytest.mark.parametrize("name", POLICIES)
def test_only_adapters_and_heads_learn_and_all_of_them(tiny, name):
    policy = stir(build(tiny, name, lora_exclude=["lm_head"]))
    inputs = inputs_of(policy)
    output = sample(policy, inputs)
    now = policy.train().evaluate(output.tokens, **inputs)
    torch.testing.assert_close(now.logprob, output.logprob, rtol=0, atol=1e-5)
    (now.logprob.sum() + now.value.sum()).backward()
    learning = {n for n, p in policy.named_parameters() if p.requires_grad}
    assert all(".lora_" in n or n.startswith("critic.") for n in learning)
    assert any("vision_backbone" in n for n in learning)
    assert not any("lm_head" in n for n in learning)
    # Processes that average gradients would wait for a part that gets none.
    assert {n for n, p in policy.named_parameters() if p.grad is not None} == learning


@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_a_bf16_base_with_float32_adapters_and_heads(tiny, load_in_4bit):
    if load_in_4bit:
        pytest.importorskip("bitsandbytes")
    settings = {"dtype": "bfloat16", "proprio": True, "gradient_checkpointing": True}
    policy = stir(build(tiny, "openvla_oft", load_in_4bit=load_in_4bit, **settings))
    assert {p.dtype for p in policy.parameters() if p.requires_grad} == {torch.float32}
    frozen = {p.dtype for p in policy.parameters() if not p.requires_grad}
    assert frozen == ({torch.bfloat16, torch.uint8} if load_in_4bit else {torch.bfloat16})
    inputs = inputs_of(policy)
    output = sample(policy, inputs)
    now = policy.train().evaluate(output.tokens, **inputs)
    ratio = (now.logprob - output.logprob).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=1e-3)
    (now.logprob.sum() + now.value.sum()).backward()
    assert all(p.grad is not None for p in policy.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", POLICIES)
def test_adapters_are_saved_alone_and_come_back(tiny, name, tmp_path):
    settings = {"lora_alpha": 4, "lora_targets": ["q_proj", "lm_head"]}
    policy = stir(build(tiny, name, **settings))
    policy.save_pretrained(tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.safetensors")}
    assert written == {"adapter/adapter_model.safetensors", "critic.safetensors"}
    assert json.loads((tmp_path / "config.json").read_text())["feat2go"]["base"] == str(tiny.resolve())
    again = load_policy(tmp_path)
    assert type(again) is POLICIES[name]
    for (left, value), (right, other) in zip(policy.named_parameters(), again.named_parameters(), strict=True):
        assert left == right
        assert torch.equal(value, other)
    # With the folder as its checkpoint, a training goes on with these adapters; saved again, they keep their base.
    further = build(tmp_path, name, **settings)
    assert torch.equal(sample(further, inputs_of(further)).tokens, sample(policy, inputs_of(policy)).tokens)
    further.save_pretrained(tmp_path / "further")
    assert json.loads((tmp_path / "further" / "config.json").read_text())["feat2go"]["base"] == str(tiny.resolve())


def test_merged_it_is_a_whole_checkpoint_with_public_names(tiny, tmp_path):
    policy = stir(build(tiny, "openvla"))
    inputs = inputs_of(policy)
    tokens = sample(policy, inputs).tokens
    expected = policy.evaluate(tokens, **inputs).logprob
    policy.save_pretrained(tmp_path / "adapters")
    policy.merge()
    policy.save_pretrained(tmp_path / "merged")
    with (
        safe_open(tiny / "model.safetensors", "pt") as public,
        safe_open(tmp_path / "merged" / "model.safetensors", "pt") as merged,
    ):
        assert set(public.keys()) == set(merged.keys())
    # A folder of adapters, opened without asking for any, is merged on the way.
    for again in (policy, load_policy(tmp_path / "merged"), OpenVLA(str(tmp_path / "adapters"))):
        torch.testing.assert_close(again.evaluate(tokens, **inputs).logprob, expected, rtol=1e-5, atol=1e-5)
        assert all(p.requires_grad for p in again.parameters())
        assert not again.restores_frozen


def test_a_checkpoint_of_a_training_needs_no_base(tiny, tmp_path):
    policy = stir(build(tiny, "openvla"))
    state = {f"policy.{k}": v for k, v in without_frozen(policy, policy.state_dict()).items()}
    assert len(state) == sum(p.requires_grad for p in policy.parameters())
    torch.save({"policy_config": policy.config, "state_dict": state}, tmp_path / "last.ckpt")
    again = load_policy(tmp_path / "last.ckpt")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in policy.state_dict().items())


def test_an_l1_head_has_no_log_probs(tiny):
    assert not build(tiny, "openvla_oft", head="l1", lora_rank=0).has_logprob
    assert build(tiny, "openvla_oft", lora_rank=0).has_logprob


def test_a_wrong_target_is_named(tiny):
    with pytest.raises(ValueError, match="no linear layer of OpenVLANetwork has 'q_prj' in its name. Did you mean"):
        build(tiny, "openvla", lora_targets="q_prj")
