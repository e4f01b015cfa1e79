"""OpenVLA-OFT against the outputs of the original code, to the tolerances of tests/golden/notes.md, section 8."""

import pytest
import torch
from goldens import Golden, near
from torch.nn import functional

from feat2go.policies import OpenVLAOFT

PIXELS, STATES, ACTIONS = 2e-5, 1e-3, 2e-4


@pytest.fixture(scope="module")
def golden():
    return Golden("openvla_oft")


@pytest.fixture(scope="module")
def discrete(golden):
    return OpenVLAOFT.from_pretrained(golden.folder).eval()


@pytest.fixture(scope="module")
def l1(golden):
    return OpenVLAOFT.from_pretrained(golden.folder, head="l1", proprio=True, num_images=2).eval()


@pytest.fixture(scope="module")
def film(golden):
    return OpenVLAOFT.from_pretrained(golden.folder, head="l1", proprio=True, num_images=2, film=True).eval()


def proprio(policy, golden):
    return policy.statistics.normalize_proprio(golden.given("proprio_raw"), None)


def run(policy, golden, pixels, num_images, tokens=None, film_mask=None):
    """Network over the padded training batch: its output, real positions, and the states that predict actions."""
    ids, mask = golden.training
    with torch.no_grad():
        output = policy.network(pixels, ids, mask, tokens, film_mask)
    num_seen = output.projected_patches.shape[1]
    is_real = torch.cat([torch.ones(2, num_seen), mask], dim=1).bool()
    places = golden["train_action_mask_shifted"].bool().nonzero()[:, 1].view(2, 56)
    states = output.hidden_states_last[torch.arange(2)[:, None], places + num_seen]
    assert num_seen == 256 * num_images + (tokens is not None)
    return output, is_real, states


def test_two_pictures_proprioception_and_l1_head(l1, golden):
    normalised = proprio(l1, golden)
    near(normalised, golden["proprio_normalized"], 1e-6)
    with torch.no_grad():
        token = l1.proprio_projector(normalised)
    near(token[:, 0], golden["proprio_token"], PIXELS)
    seen = []
    layers = l1.network.language_model.model.layers
    handles = [layer.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for layer in layers]
    output, is_real, states = run(l1, golden, golden.pixels, 2, token)
    for handle in handles:
        handle.remove()
    near(output.patch_features, golden["two_image_patch_features"], PIXELS)
    near(output.projected_patches, golden["l1_projected"], PIXELS)
    for k, hidden in enumerate([*seen, output.hidden_states_last]):
        near(hidden[is_real], golden[f"l1_hidden_{k}"][is_real], STATES)
    near(states, golden["l1_action_hidden"], STATES)
    actions = l1.action_head(states)
    near(actions, golden["l1_predicted_actions"], ACTIONS)
    near((actions - golden.given("gt_actions")).abs().mean(), golden["l1_loss"], ACTIONS)


def test_one_picture_without_proprioception(l1, golden):
    _, _, states = run(l1, golden, golden.pixels[:, :6], 1)
    near(states, golden["l1_single_action_hidden"], STATES)
    near(l1.action_head(states), golden["l1_single_predicted_actions"], ACTIONS)


def test_discrete_tokens_of_the_training_batch(discrete, golden):
    output, is_real, states = run(discrete, golden, golden.pixels[:, :6], 1)
    near(output.hidden_states_last[is_real], golden["discrete_last_hidden"][is_real], STATES)
    with torch.no_grad():
        logits = discrete.network.logits(states)
    near(logits[..., golden.given("logit_columns")], golden["discrete_action_logits_cols"], STATES)
    near(logits.logsumexp(-1), golden["discrete_action_logsumexp"], STATES)
    assert torch.equal(logits.argmax(-1), golden["discrete_argmax_ids"])
    best = logits.topk(2).values
    near(best[..., 0] - best[..., 1], golden["discrete_top2_margin"], STATES)
    labels = golden.given("train_labels")[:, 1:].flatten()
    loss = functional.cross_entropy(output.logits[:, 256:-1].flatten(0, 1), labels)
    near(loss, golden["discrete_loss"], STATES)


def test_log_probs_of_given_tokens(discrete, golden):
    tokens = golden.given("gt_action_token_ids")
    assert torch.equal(discrete.encode(golden.given("gt_actions")), tokens)
    with torch.no_grad():
        logprob = discrete.log_prob(golden.pixels[:, :6], *golden.before_actions(), tokens)
    near(logprob, golden["discrete_logprobs_bins_t1"], STATES)


@pytest.mark.parametrize("row", [0, 1])
def test_discrete_prediction(discrete, golden, row):
    pixels = golden.pixels[row : row + 1, :6]
    output = discrete.act(pixels, *golden.prompt(row), action_tokens_only=False)
    assert torch.equal(output.tokens[0], golden[f"predict{row}_discrete_ids"])
    near(discrete.unnormalize(output.actions)[0], golden[f"predict{row}_discrete_actions"], ACTIONS)
    with torch.no_grad():
        states = discrete._states(pixels, *golden.prompt(row))
        best = discrete.network.logits(states)[0].topk(2).values
    near(states[0], golden[f"predict{row}_discrete_action_hidden"], STATES)
    near(best[:, 0] - best[:, 1], golden[f"predict{row}_discrete_top2_margin"], STATES)


def test_discrete_prediction_of_a_padded_batch(discrete, golden):
    output = discrete.act(golden.pixels[:, :6], *golden.prompts(), action_tokens_only=False)
    for row in range(2):
        assert torch.equal(output.tokens[row], golden[f"predict{row}_discrete_ids"])


@pytest.mark.parametrize("row", [0, 1])
def test_l1_prediction(l1, golden, row):
    rows = slice(row, row + 1)
    normalised = proprio(l1, golden)[rows]
    output = l1.act(golden.pixels[rows], *golden.prompt(row), proprio=normalised)
    near(output.actions[0], golden[f"predict{row}_l1_normalized"], ACTIONS)
    near(l1.unnormalize(output.actions)[0], golden[f"predict{row}_l1_actions"], ACTIONS)
    with torch.no_grad():
        states = l1._states(golden.pixels[rows], *golden.prompt(row), normalised)
    near(states[0], golden[f"predict{row}_l1_action_hidden"], STATES)


@pytest.mark.parametrize("row", [0, 1])
def test_film_prediction(film, golden, row):
    rows = slice(row, row + 1)
    normalised = proprio(film, golden)[rows]
    output = film.act(golden.pixels[rows], *golden.prompt(row), proprio=normalised)
    near(film.unnormalize(output.actions)[0], golden[f"predict{row}_film_actions"], ACTIONS)
    with torch.no_grad():
        states = film._states(golden.pixels[rows], *golden.prompt(row), normalised)
    near(states[0], golden[f"predict{row}_film_action_hidden"], STATES)


def test_film_of_the_padded_training_batch(film, golden):
    """The original's mean over the instruction counts padding in; the mask says so. Ours leaves padding out."""
    ids, _ = golden.training
    with torch.no_grad():
        token = film.proprio_projector(proprio(film, golden))
    output, _, states = run(film, golden, golden.pixels, 2, token, film_mask=~film.network.is_action(ids))
    near(output.projected_patches, golden["film_projected"], PIXELS)
    near(states, golden["film_action_hidden"], STATES)
    near(film.action_head(states), golden["film_predicted_actions"], ACTIONS)


def test_film_does_not_depend_on_padding(film, golden):
    output = film.act(golden.pixels, *golden.prompts(), proprio=proprio(film, golden))
    for row in range(2):
        near(film.unnormalize(output.actions)[row], golden[f"predict{row}_film_actions"], ACTIONS)
