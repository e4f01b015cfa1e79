"""What every registered policy owes those that train and evaluate it."""

import json

import pytest
import torch
from checkpoints import make_openvla
from policies.tiny_pi0 import write_tiny_pi0

from feat2go.core import Observation, Policy, slots
from feat2go.policies import load_policy
from feat2go.registry import POLICIES

NUM_ROWS, STATE_DIM = 3, 8
BUILTIN = [name for name in POLICIES if POLICIES.entry(name).path.startswith("feat2go.")]
SETTINGS = {
    "tiny_vla": {"chunk": 2, "state_dim": STATE_DIM, "image_size": 32},
    "openvla": {},
    "openvla_oft": {"chunk": 2, "proprio": True},
    "hf_pi0": {"chunk": 2, "action_dim": 4, "state_dim": 4},
}


@pytest.fixture(scope="module", params=BUILTIN)
def policy(request, tmp_path_factory):
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    if name.startswith("openvla"):
        return POLICIES.get(name)(checkpoint=str(make_openvla(folder)), **SETTINGS[name]).eval()
    if name == "hf_pi0":
        return POLICIES.get(name)(path=str(write_tiny_pi0(folder)), **SETTINGS[name]).eval()
    return POLICIES.get(name)(**SETTINGS[name]).eval()


@pytest.fixture
def sampler(policy):
    """A policy that chooses tokens with log-probs, which reinforcement learning asks for."""
    if not getattr(policy, "has_logprob", True):
        pytest.skip("has no log-probs")
    return policy


def observe(policy, rows=range(NUM_ROWS)):
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (NUM_ROWS, 32, 32, 3), generator=generator).byte()
    state = torch.rand(NUM_ROWS, getattr(policy, "state_dim", STATE_DIM), generator=generator)
    instructions = ["put the cube on the plate", "put the plate", "the cube"]
    return Observation({"base": pictures}, state, instructions).select(torch.tensor(list(rows)))


def inputs_of(policy, rows=range(NUM_ROWS)):
    seen = observe(policy, rows)
    return policy.preprocess(seen.images, seen.instruction, seen.state)


def act(policy, inputs, seed=0, temperature=1.0):
    with torch.no_grad():
        return policy.act(temperature=temperature, generator=torch.Generator().manual_seed(seed), **inputs)


def test_is_a_policy_for_types_and_for_yaml(policy):
    assert isinstance(policy, Policy)
    assert issubclass(type(policy), slots.Policy)


def test_inputs_have_one_row_per_observation(policy):
    for tensor in inputs_of(policy).values():
        assert len(tensor) == NUM_ROWS


def test_outputs_have_the_promised_shapes(policy):
    output = act(policy, inputs_of(policy))
    num_tokens = policy.chunk * policy.action_dim
    assert output.actions.shape == (NUM_ROWS, policy.chunk, policy.action_dim)
    assert output.tokens.shape == output.logprob.shape == (NUM_ROWS, num_tokens)
    assert output.value.shape == (NUM_ROWS,)
    assert output.actions.dtype == output.logprob.dtype == output.value.dtype == torch.float32
    assert output.actions.abs().max() <= 1
    torch.testing.assert_close(policy.decode(output.tokens), output.actions)


def test_a_seed_repeats_its_actions(policy):
    inputs = inputs_of(policy)
    assert torch.equal(act(policy, inputs).actions, act(policy, inputs).actions)
    assert not torch.equal(act(policy, inputs).actions, act(policy, inputs, seed=1).actions)


def test_actions_survive_encoding(policy):
    actions = torch.rand(4, policy.chunk, policy.action_dim) * 2 - 1
    assert (policy.decode(policy.encode(actions)) - actions).abs().max() <= 1 / 255 + 1e-6


def test_rollout_and_update_agree(sampler):
    inputs = inputs_of(sampler)
    output = act(sampler, inputs)
    judged = sampler.evaluate(output.tokens, **inputs)
    assert judged.entropy.shape == judged.logprob.shape
    torch.testing.assert_close(judged.logprob, output.logprob, rtol=0, atol=1e-5)
    torch.testing.assert_close(judged.value, output.value, rtol=0, atol=1e-5)


def test_greedy_is_the_likeliest_and_rows_are_on_their_own(sampler):
    inputs = inputs_of(sampler)
    greedy, drawn = act(sampler, inputs, temperature=0.0), act(sampler, inputs)
    # The first token, since later ones may depend on it.
    assert bool((greedy.logprob[:, 0] >= drawn.logprob[:, 0] - 1e-5).all())
    alone = act(sampler, inputs_of(sampler, [2]), temperature=0.0)
    assert torch.equal(alone.tokens[0], greedy.tokens[2])


def test_log_probs_and_value_have_gradients(sampler):
    inputs = inputs_of(sampler)
    judged = sampler.evaluate(act(sampler, inputs).tokens, **inputs)
    sampler.zero_grad()
    (judged.logprob.sum() + judged.value.sum()).backward()
    assert any(parameter.grad is not None for parameter in sampler.critic.parameters())
    assert sum(parameter.grad is not None for parameter in sampler.parameters()) > 2
    sampler.zero_grad()


def test_shard_units_are_its_own_modules_and_not_inside_each_other(policy):
    units = policy.shard_units()
    assert units
    inside = {id(module) for unit in units for module in list(unit.modules())[1:]}
    own = {id(module) for module in policy.modules()}
    assert all(id(unit) in own and id(unit) not in inside for unit in units)


def test_the_config_is_plain_and_builds_it_again(policy):
    config = json.loads(json.dumps(policy.config))
    assert config == policy.config
    again = POLICIES.get(config.pop("model_type"))(**config)
    assert again.state_dict().keys() == policy.state_dict().keys()


def test_a_saved_policy_comes_back(policy, tmp_path):
    policy.save_pretrained(tmp_path)
    again = load_policy(tmp_path).eval()
    assert type(again) is type(policy)
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    inputs = inputs_of(policy)
    assert torch.equal(act(again, inputs).actions, act(policy, inputs).actions)
