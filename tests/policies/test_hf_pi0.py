"""pi0 through feat2go against direct calls of transformers' class."""

import json
import re

import pytest
import torch
from policies.tiny_pi0 import write_tiny_pi0
from transformers import PI0ForConditionalGeneration

from feat2go.algorithms import BC
from feat2go.core.types import Observation, PolicyBatch
from feat2go.policies.hf_pi0 import HFPi0
from feat2go.policies.load import load_policy

ACTION_DIM, CHUNK, STATE_DIM = 7, 4, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_pi0(tmp_path_factory.mktemp("pi0"))


@pytest.fixture(scope="module")
def policy(folder):
    return HFPi0(str(folder), ACTION_DIM, CHUNK, STATE_DIM).eval()


@pytest.fixture(scope="module")
def direct(folder):
    return PI0ForConditionalGeneration.from_pretrained(folder, chunk_size=CHUNK).eval()


@pytest.fixture
def observation():
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=noise)
    state = torch.randn(2, STATE_DIM, generator=noise)
    return Observation({"front": images}, state, ["put the cube on the plate", "put  the\nplate"])


def inputs_of(policy, observation):
    return policy.preprocess(observation.images, observation.instruction, observation.state)


def test_an_observation_becomes_what_transformers_class_takes(policy, observation):
    inputs = inputs_of(policy, observation)
    assert inputs["pixel_values"].shape == (2, 1, 3, 16, 16)
    assert inputs["pixel_attention_mask"].all()
    # Four patches of 8 pixels, then <bos>, the words and their blanks, and the line break.
    assert inputs["input_ids"][0].tolist() == [64] * 4 + [2, 6, 5, 7, 5, 8, 5, 9, 5, 7, 5, 10, 4]
    assert inputs["input_ids"][1].tolist() == [64] * 4 + [2, 6, 5, 7, 5, 10, 4] + [0] * 6
    assert inputs["attention_mask"].sum(1).tolist() == [17, 11]
    assert torch.equal(inputs["state"][:, :STATE_DIM], observation.state)
    assert not inputs["state"][:, STATE_DIM:].any()


def test_pictures_are_fitted_with_black_at_the_right_or_below(policy):
    white = torch.full((1, 8, 16, 3), 255, dtype=torch.uint8)
    pixels = policy.preprocess({"front": white}, ["put"], torch.zeros(1, STATE_DIM))["pixel_values"][0, 0]
    assert torch.equal(pixels[:, :8], torch.ones(3, 8, 16))
    assert torch.equal(pixels[:, 8:], -torch.ones(3, 8, 16))


def test_it_acts_as_transformers_samples(policy, direct, observation):
    inputs = inputs_of(policy, observation)
    output = policy.act(generator=torch.Generator().manual_seed(3), **inputs)
    noise = torch.randn(2, CHUNK, 9, generator=torch.Generator().manual_seed(3))
    expected = direct.sample_actions(noise=noise, **inputs)[..., :ACTION_DIM].clamp(-1, 1)
    torch.testing.assert_close(output.actions, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(policy.decode(output.tokens), output.actions)
    assert output.logprob.isnan().all()
    assert output.value.isnan().all()


def test_a_row_does_not_depend_on_its_batch(policy, observation):
    short = observation.select(torch.tensor([1]))
    noise = torch.Generator()
    together = policy.act(temperature=0.0, generator=noise, **inputs_of(policy, observation)).actions[1:]
    alone = policy.act(temperature=0.0, generator=noise, **inputs_of(policy, short)).actions
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_its_loss_is_transformers_loss(policy, direct, observation):
    inputs = inputs_of(policy, observation)
    actions = torch.rand(2, CHUNK, ACTION_DIM) * 2 - 1
    tokens = policy.encode(actions)
    torch.manual_seed(5)
    loss = policy.cloning_loss(tokens, torch.ones_like(tokens, dtype=torch.bool), **inputs)
    torch.manual_seed(5)
    noise = torch.randn(2, CHUNK, 9)
    padded = torch.nn.functional.pad(actions, (0, 2))
    expected = direct(actions=padded, noise=noise, **inputs).loss
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def batch_of(policy, observation, actions, mask):
    tokens = policy.encode(actions)
    nothing = torch.zeros(len(tokens))
    return PolicyBatch(observation, tokens, mask, torch.zeros_like(tokens), nothing, nothing, nothing)


def test_bc_learns_by_its_loss(folder, observation):
    policy = HFPi0(str(folder), ACTION_DIM, CHUNK, STATE_DIM)
    mask = torch.ones(2, CHUNK * ACTION_DIM, dtype=torch.bool)
    batch = batch_of(policy, observation, torch.zeros(2, CHUNK, ACTION_DIM), mask)
    optimizer = torch.optim.Adam((p for p in policy.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)
        loss, metrics = BC().loss(policy, batch)
        losses.append(float(metrics["cloning_loss"]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    # Whatever never gets a gradient is frozen: processes that average gradients would wait for it.
    assert all(p.grad is not None for p in policy.parameters() if p.requires_grad)


def test_masked_actions_do_not_change_the_loss(policy, observation):
    inputs = inputs_of(policy, observation)
    tokens = torch.zeros(2, CHUNK * ACTION_DIM)
    mask = torch.zeros(2, CHUNK * ACTION_DIM, dtype=torch.bool)
    torch.manual_seed(5)
    assert float(policy.cloning_loss(tokens, mask, **inputs).detach()) == 0
    mask[:, :ACTION_DIM] = True
    with torch.no_grad():
        torch.manual_seed(5)
        first = policy.cloning_loss(tokens, mask, **inputs)
        torch.manual_seed(5)
        velocity = policy.network(
            actions=torch.zeros(2, CHUNK, 9), noise=(noise := torch.randn(2, CHUNK, 9)), **inputs
        ).logits
    torch.testing.assert_close(first, (velocity - noise)[:, 0].square().mean(), rtol=1e-5, atol=1e-6)


def test_reinforcement_learning_is_refused_with_what_to_do(policy, observation):
    with pytest.raises(NotImplementedError, match=re.escape("Train it with `algorithm: bc`")):
        policy.evaluate(torch.zeros(2, 28), **inputs_of(policy, observation))
    assert not policy.has_logprob


def test_noise_in_bins_is_refused(policy, observation):
    batch = batch_of(policy, observation, torch.zeros(2, CHUNK, ACTION_DIM), torch.ones(2, 28, dtype=torch.bool))
    with pytest.raises(ValueError, match="token_noise is for action bins, which HFPi0 does not have"):
        BC(token_noise=1.0).loss(policy, batch)


def test_saved_and_loaded_it_acts_the_same(policy, observation, tmp_path):
    policy.save_pretrained(tmp_path)
    again = load_policy(tmp_path).eval()
    assert {**again.config, "path": ""} == {**policy.config, "path": ""}
    inputs = inputs_of(policy, observation)
    assert torch.equal(
        again.act(temperature=0.0, **inputs_of(again, observation)).actions,
        policy.act(temperature=0.0, **inputs).actions,
    )


def test_a_checkpoints_statistics_scale_states_and_actions(folder, policy, observation, tmp_path):
    policy.save_pretrained(tmp_path)
    statistics = {
        "state_mean": [1.0] * STATE_DIM,
        "state_std": [2.0] * STATE_DIM,
        "actions_mean": [0.25] * ACTION_DIM,
        "actions_std": [0.5] * ACTION_DIM,
    }
    (tmp_path / "network" / "processor_config.json").write_text(json.dumps(statistics))
    scaled = load_policy(tmp_path).eval()
    inputs = inputs_of(scaled, observation)
    torch.testing.assert_close(inputs["state"][:, :STATE_DIM], (observation.state - 1) / 2)
    raw = policy.network.sample_actions(noise=torch.zeros(2, CHUNK, 9), **inputs)[..., :ACTION_DIM]
    expected = (raw * 0.5 + 0.25).clamp(-1, 1)
    torch.testing.assert_close(scaled.act(temperature=0.0, **inputs).actions, expected, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused(folder, policy):
    with pytest.raises(ValueError, match="takes up to 9 action and 8 state dimensions; got 12 and 0"):
        HFPi0(str(folder), action_dim=12)
    image = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="was built for state_dim 6; the observation has 3"):
        policy.preprocess({"front": image}, ["put"], torch.zeros(1, 3))
