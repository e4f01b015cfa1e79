"""Sampling and judging: what reinforcement learning relies on."""

import pytest
import torch

from feat2go.core import Observation
from feat2go.policies import OpenVLA, OpenVLAOFT
from feat2go.policies.openvla.language import attention_mask_4d

INSTRUCTIONS = ["put the red cube on the plate", "lift", "stack the green carrot"]


def make(tiny, name, **settings):
    made = OpenVLA(str(tiny), **settings) if name == "openvla" else OpenVLAOFT(str(tiny), **{"chunk": 2, **settings})
    return made.eval()


def observe(num_rows=3):
    pictures = torch.randint(0, 256, (num_rows, 40, 40, 3), generator=torch.Generator().manual_seed(0))
    return Observation({"base": pictures.byte()}, None, INSTRUCTIONS[:num_rows])


def inputs_of(policy, seen=None):
    seen = seen or observe()
    return policy.preprocess(seen.images, seen.instruction, seen.state)


def sampled(policy, inputs, temperature=1.0):
    return policy.act(**inputs, temperature=temperature, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["openvla", "openvla_oft"])
def name(request):
    return request.param


@pytest.mark.parametrize("temperature", [1.0, 0.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 1e-3)])
def test_first_importance_ratio_is_one(tiny, name, dtype, tolerance, temperature):
    policy = make(tiny, name, dtype=dtype)
    inputs = inputs_of(policy)
    output = sampled(policy, inputs, temperature)
    judged = policy.train().evaluate(output.tokens, **inputs)
    ratio = (judged.logprob - output.logprob).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=tolerance)
    torch.testing.assert_close(judged.value, output.value, rtol=0, atol=tolerance)
    assert output.logprob.dtype == output.value.dtype == judged.entropy.dtype == torch.float32
    assert judged.logprob.requires_grad
    assert judged.value.requires_grad
    assert not output.logprob.requires_grad


def test_ratio_is_one_where_the_update_pads_less(tiny, name):
    """A minibatch of the shortest prompts has fewer columns than the rollout had."""
    policy = make(tiny, name)
    output = sampled(policy, inputs_of(policy))
    row = observe().select(torch.tensor([1]))
    judged = policy.evaluate(output.tokens[1:2], **inputs_of(policy, row))
    torch.testing.assert_close(judged.logprob, output.logprob[1:2], rtol=0, atol=1e-5)


def test_log_probs_follow_the_temperature(tiny, name):
    policy = make(tiny, name)
    inputs = inputs_of(policy)
    generator = torch.Generator().manual_seed(0)
    output = policy.act(**inputs, temperature=0.6, generator=generator)
    seen = (inputs["pixel_values"], inputs["input_ids"], inputs["attention_mask"])
    near_one = policy.log_prob(*seen, output.tokens, 0.6)
    torch.testing.assert_close(near_one, output.logprob, rtol=0, atol=1e-5)
    assert not torch.allclose(policy.log_prob(*seen, output.tokens), output.logprob, atol=1e-3)


def test_sampling_repeats_with_its_seed_and_differs_with_another(tiny, name):
    policy = make(tiny, name)
    inputs = inputs_of(policy)
    first = sampled(policy, inputs)
    assert torch.equal(first.tokens, sampled(policy, inputs).tokens)
    other = policy.act(**inputs, temperature=1.0, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(first.tokens, other.tokens)
    assert bool(policy.network.is_action(first.tokens).all())
    with pytest.raises(ValueError, match="temperature must be at least 0; got -1"):
        policy.act(**inputs, temperature=-1)


def test_rows_of_a_padded_batch_are_on_their_own(tiny, name):
    policy = make(tiny, name)
    whole = policy.act(**inputs_of(policy))
    for row in range(3):
        alone = policy.act(**inputs_of(policy, observe().select(torch.tensor([row]))))
        assert torch.equal(alone.tokens[0], whole.tokens[row])
        torch.testing.assert_close(alone.logprob[0], whole.logprob[row], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.value[0], whole.value[row], rtol=0, atol=1e-5)


def test_what_stands_in_the_padding_does_not_matter(tiny, name):
    policy = make(tiny, name)
    inputs = inputs_of(policy)
    mask = inputs["attention_mask"].bool()
    other = {**inputs, "input_ids": inputs["input_ids"].where(mask, 31800)}
    assert torch.equal(policy.act(**other).tokens, policy.act(**inputs).tokens)


def test_left_padding_and_foreign_tokens_are_refused(tiny, name):
    policy = make(tiny, name)
    inputs = inputs_of(policy)
    flipped = {**inputs, "attention_mask": inputs["attention_mask"].flip(1)}
    with pytest.raises(ValueError, match="padded on the right"):
        policy.act(**flipped)
    tokens = policy.act(**inputs).tokens
    with pytest.raises(ValueError, match="action tokens, 31744 to 31999; got .* 5 to"):
        policy.evaluate(torch.where(tokens == tokens[0, 0], 5, tokens), **inputs)
    with pytest.raises(ValueError, match=r"pixel_values must be \(B, n \* 6, 28, 28\)"):
        policy.act(**{**inputs, "pixel_values": inputs["pixel_values"][:, :3]})


def test_the_picture_and_the_instruction_matter(tiny, name):
    policy = make(tiny, name)
    inputs = inputs_of(policy)
    value = policy.act(**inputs).value
    assert not torch.allclose(policy.act(**{**inputs, "pixel_values": -inputs["pixel_values"]}).value, value)
    other = policy.preprocess(observe().images, ["open the drawer"] * 3)
    assert not torch.allclose(policy.act(**other).value, value)


def test_pictures_are_seen_once_and_tokens_come_from_the_cache(tiny):
    policy = make(tiny, "openvla")
    lengths, num_seen = [], []
    layer = policy.network.language_model.model.layers[0]
    layer.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    policy.network.vision_backbone.register_forward_pre_hook(lambda *_: num_seen.append(1))
    inputs = inputs_of(policy)
    policy.act(**inputs)
    prompt = 4 + inputs["input_ids"].shape[1] + 1
    # What was chosen is judged by one more pass over the whole sequence.
    assert lengths == [prompt] + [1] * 6 + [prompt + 7]
    assert len(num_seen) == 1


def test_cached_steps_agree_with_one_pass(tiny):
    policy = make(tiny, "openvla")
    logits = []
    policy.network.language_model.lm_head.register_forward_hook(lambda *args: logits.append(args[-1]))
    policy.act(**inputs_of(policy))
    torch.testing.assert_close(torch.stack(logits[:-1], dim=1), logits[-1], rtol=0, atol=1e-4)


def test_actions_of_a_chunk_are_read_in_one_pass(tiny):
    policy = make(tiny, "openvla_oft")
    lengths = []
    layer = policy.network.language_model.model.layers[0]
    layer.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    inputs = inputs_of(policy)
    output = sampled(policy, inputs)
    assert lengths == [4 + inputs["input_ids"].shape[1] + 1 + 14 + 1]
    assert output.actions.shape == (3, 2, 7)
    assert output.tokens.shape == output.logprob.shape == (3, 14)


@pytest.mark.parametrize(("name", "is_causal"), [("openvla", True), ("openvla_oft", False)])
def test_attention_of_oft_goes_both_ways(tiny, name, is_causal):
    """A change of the last text token reaches the first position in OFT and only the later ones in OpenVLA."""
    policy = make(tiny, name)
    inputs = inputs_of(policy, observe(1))
    hidden = []
    for last in (100, 200):
        ids = inputs["input_ids"].clone()
        ids[0, -1] = last
        with torch.no_grad():
            hidden.append(policy.network(inputs["pixel_values"], ids, inputs["attention_mask"]).hidden_states_last)
    change = (hidden[0] - hidden[1])[0].abs().amax(-1)
    assert change[-1] > 1e-2
    assert bool((change[:-1] == 0).all()) == is_causal
    assert bool((change[:-1] > 1e-6).all()) != is_causal


def test_a_causal_oft_would_give_other_log_probs(tiny):
    """What stock transformers do silently to such a checkpoint."""
    policy = make(tiny, "openvla_oft")
    inputs = inputs_of(policy)
    output = policy.act(**inputs)
    policy.network.is_causal = True
    assert (policy.evaluate(output.tokens, **inputs).logprob - output.logprob).abs().max() > 0.1


def test_embeddings_of_actions_count_as_zero_in_oft_only(tiny):
    for name, differs in (("openvla", True), ("openvla_oft", False)):
        policy = make(tiny, name)
        inputs = inputs_of(policy, observe(1))
        hidden = []
        for action in (31750, 31900):
            ids = torch.cat([inputs["input_ids"], torch.tensor([[action, 2]])], dim=1)
            with torch.no_grad():
                output = policy.network(inputs["pixel_values"], ids, torch.ones_like(ids))
            hidden.append(output.hidden_states_last[:, -1])
        assert torch.equal(*hidden) != differs


def test_masks():
    mask = torch.tensor([[True, True, False]])
    both, causal = attention_mask_4d(mask, False)[0, 0], attention_mask_4d(mask, True)[0, 0]
    assert both.int().tolist() == [[1, 1, 0]] * 3
    assert causal.int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    assert attention_mask_4d(mask[:, :2], True) is None


@pytest.mark.parametrize(("level", "shape"), [("chunk", (3,)), ("action", (3, 2))])
def test_critic_level(tiny, level, shape):
    policy = make(tiny, "openvla_oft", critic_level=level)
    inputs = inputs_of(policy)
    output = policy.act(**inputs)
    assert output.value.shape == policy.evaluate(output.tokens, **inputs).value.shape == shape
    with pytest.raises(ValueError, match="unknown critic_level 'token'; known: chunk, action"):
        make(tiny, "openvla", critic_level="token")


def test_critic_reads_the_state_before_the_first_action(tiny, name):
    """No action can change it in OpenVLA, and both read the position of 29871."""
    policy = make(tiny, name)
    inputs = inputs_of(policy, observe(1))
    seen = []
    policy.critic.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    output = policy.act(**inputs)
    slots = [31744] * 14 + [2] if name == "openvla_oft" else []
    ids = torch.cat([inputs["input_ids"], torch.tensor([[29871, *slots]])], dim=1)
    with torch.no_grad():
        whole = policy.network(inputs["pixel_values"], ids, torch.ones_like(ids)).hidden_states_last
    position = 4 + inputs["input_ids"].shape[1]
    torch.testing.assert_close(seen[0], whole[:, position], rtol=0, atol=1e-5)
    assert output.value.shape == (1,)


def test_two_pictures_and_proprioception(tiny):
    policy = make(tiny, "openvla_oft", num_images=2, proprio=True)
    seen = observe()
    images = {"base": seen.images["base"], "wrist": seen.images["base"].flip(0)}
    state = torch.rand(3, 8)
    inputs = policy.preprocess(images, INSTRUCTIONS, state)
    assert inputs["pixel_values"].shape == (3, 12, 28, 28)
    value = policy.act(**inputs).value
    swapped = policy.preprocess(dict(reversed(images.items())), INSTRUCTIONS, state)
    assert not torch.allclose(policy.act(**swapped).value, value)
    other = policy.preprocess(images, INSTRUCTIONS, state + 0.2)
    assert not torch.allclose(policy.act(**other).value, value)
    with pytest.raises(ValueError, match="looks through 2 cameras; got 1"):
        policy.preprocess(seen.images, INSTRUCTIONS, state)
    with pytest.raises(ValueError, match="built with proprioception; the observation has no state"):
        policy.preprocess(images, INSTRUCTIONS)
    del inputs["proprio"]
    with pytest.raises(ValueError, match=r"it takes proprio \(B, S\)"):
        policy.act(**inputs)


def test_l1_head_acts_and_refuses_what_needs_log_probs(tiny):
    policy = make(tiny, "openvla_oft", head="l1")
    inputs = inputs_of(policy)
    output = policy.act(**inputs)
    assert output.actions.shape == (3, 2, 7)
    assert torch.equal(policy.encode(output.actions), output.tokens)
    assert bool(output.logprob.isnan().all())
    with pytest.raises(ValueError, match="has no log-probs: evaluate it at temperature 0, and use head: discrete"):
        policy.act(**inputs, temperature=1.0)
    with pytest.raises(ValueError, match="has no log-probs"):
        policy.evaluate(output.tokens, **inputs)


def test_recomputed_activations_give_the_same_gradients(tiny, name):
    gradients = []
    for recompute in (False, True):
        policy = make(tiny, name, gradient_checkpointing=recompute).train()
        inputs = inputs_of(policy)
        tokens = policy.act(**inputs).tokens
        policy.evaluate(tokens, **inputs).logprob.sum().backward()
        gradients.append(policy.network.vision_backbone.featurizer.pos_embed.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
    assert gradients[0].abs().max() > 0


def test_every_parameter_learns(tiny, name):
    """What the checkpoint holds and the network does not use is no parameter."""
    policy = make(tiny, name)
    inputs = inputs_of(policy)
    judged = policy.evaluate(policy.act(**inputs).tokens, **inputs)
    (judged.logprob.sum() + judged.value.sum()).backward()
    assert [n for n, parameter in policy.named_parameters() if parameter.grad is None] == []


def test_rotary_frequencies_survive_a_change_of_precision(tiny):
    policy = make(tiny, "openvla")
    before = policy.network.language_model.model.rotary_emb.inv_freq.clone()
    policy.to(torch.bfloat16)
    after = policy.network.language_model.model.rotary_emb.inv_freq
    assert after.dtype == torch.float32
    assert torch.equal(before, after)
    assert policy.act(**inputs_of(policy)).value.dtype == torch.float32


def test_what_is_sharded_together_has_one_dtype(tiny, name):
    """FSDP2 asks for it, and a bfloat16 network has a float32 critic."""
    policy = make(tiny, name, dtype="bfloat16")
    units = policy.shard_units()
    in_units = {id(parameter) for unit in units for parameter in unit.parameters()}
    rest = [parameter for parameter in policy.parameters() if id(parameter) not in in_units]
    for group in (*[list(unit.parameters()) for unit in units], rest):
        assert len({parameter.dtype for parameter in group}) == 1
