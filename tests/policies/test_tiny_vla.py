import json

import pytest
import torch

from feat2go.core import Observation, PolicyBatch
from feat2go.policies import TinyVLA, load_policy, tiny_vla


def make(**settings):
    torch.manual_seed(0)
    policy = TinyVLA(**{"chunk": 2, "state_dim": 3, "image_size": 32, "width": 32, **settings})
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return policy


def observe(num_rows=5, size=32, instruction="put the red cube on the plate"):
    generator = torch.Generator().manual_seed(1)
    images = {"base": torch.randint(0, 256, (num_rows, size, size, 3), generator=generator, dtype=torch.uint8)}
    return Observation(images, torch.rand(num_rows, 3, generator=generator), [instruction] * num_rows)


def inputs_of(policy, seen):
    return policy.preprocess(seen.images, seen.instruction, seen.state)


def test_shapes_and_agreement_of_acting_and_evaluating():
    policy, seen = make(), observe()
    inputs = inputs_of(policy, seen)
    output = policy.act(generator=torch.Generator().manual_seed(0), **inputs)
    assert output.actions.shape == (5, 2, 7)
    assert output.tokens.shape == output.logprob.shape == (5, 14)
    again = policy.evaluate(output.tokens, **inputs)
    torch.testing.assert_close(again.logprob, output.logprob, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again.value, output.value, rtol=1e-5, atol=1e-6)


def test_log_probs_are_normalised_and_entropy_is_theirs():
    policy, seen = make(chunk=1, action_dim=1), observe(1)
    inputs = inputs_of(policy, seen)
    rows = {name: value.expand(256, *value.shape[1:]) for name, value in inputs.items()}
    all_tokens = policy.evaluate(torch.arange(256)[:, None], **rows)
    logprob = all_tokens.logprob[:, 0]
    assert logprob.exp().sum().item() == pytest.approx(1.0, rel=1e-5)
    assert all_tokens.entropy[0, 0].item() == pytest.approx(-(logprob.exp() * logprob).sum().item(), rel=1e-4)


def test_temperature_sharpens_and_zero_is_greedy():
    policy, seen = make(), observe()
    inputs = inputs_of(policy, seen)
    greedy = policy.act(temperature=0.0, **inputs)
    cold = policy.act(temperature=1e-4, generator=torch.Generator().manual_seed(3), **inputs)
    assert torch.equal(greedy.tokens, cold.tokens)
    assert policy.evaluate(greedy.tokens, temperature=0.5, **inputs).logprob.sum() > greedy.logprob.sum()


def test_actions_survive_encoding():
    policy = make()
    actions = torch.rand(4, 2, 7) * 2 - 1
    assert (policy.decode(policy.encode(actions)) - actions).abs().max() <= 1 / 255 + 1e-6


def test_the_instruction_matters():
    policy = make()
    one = policy.act(temperature=0.0, **inputs_of(policy, observe()))
    other = policy.act(temperature=0.0, **inputs_of(policy, observe(instruction="open the drawer")))
    assert not torch.allclose(one.value, other.value)


def test_larger_pictures_are_averaged_down():
    policy, seen = make(), observe()
    twice = {"base": seen.images["base"].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)}
    small = policy.act(temperature=0.0, **inputs_of(policy, seen))
    large = policy.act(temperature=0.0, **policy.preprocess(twice, seen.instruction, seen.state))
    torch.testing.assert_close(large.value, small.value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 3, 12])
def test_averaging_gives_what_pooling_gives(factor):
    white_and_noise = torch.cat([torch.full((1, 24, 24, 3), 255), torch.randint(0, 256, (2, 24, 24, 3))]).byte()
    pooled = torch.nn.functional.avg_pool2d(white_and_noise.permute(0, 3, 1, 2).float(), factor)
    averaged = tiny_vla._averaged(white_and_noise, 24 // factor)
    torch.testing.assert_close(averaged, pooled.permute(0, 2, 3, 1) / 255, rtol=1e-6, atol=0)


def test_every_row_is_on_its_own():
    policy, seen = make(), observe()
    whole = policy.act(temperature=0.0, **inputs_of(policy, seen))
    one = policy.act(temperature=0.0, **inputs_of(policy, seen.select(torch.tensor([3]))))
    torch.testing.assert_close(one.value, whole.value[3:4], rtol=1e-4, atol=1e-6)


def test_two_cameras():
    policy, seen = make(num_cameras=2), observe()
    images = {"base": seen.images["base"], "wrist": seen.images["base"].flip(0)}
    output = policy.act(temperature=0.0, **policy.preprocess(images, seen.instruction, seen.state))
    swapped = {"base": images["wrist"], "wrist": images["base"]}
    other = policy.act(temperature=0.0, **policy.preprocess(swapped, seen.instruction, seen.state))
    assert not torch.allclose(output.value, other.value)


def test_keypoints_are_where_a_channel_is_strongest():
    features = torch.zeros(1, 2, 5, 9)
    features[0, 0, 1, 6] = features[0, 1, 4, 0] = 50.0
    [places] = tiny_vla._Keypoints(2)(features)
    torch.testing.assert_close(places, torch.tensor([[0.5, -0.5], [-1.0, 1.0]]), rtol=0, atol=1e-6)


def test_a_policy_that_sees_keypoints_acts_and_comes_back(tmp_path):
    policy, seen = make(keypoints=True, num_cameras=1), observe()
    output = policy.act(temperature=0.0, **inputs_of(policy, seen))
    moved = {"base": seen.images["base"].roll(8, dims=2)}
    other = policy.act(temperature=0.0, **policy.preprocess(moved, seen.instruction, seen.state))
    assert not torch.allclose(other.value, output.value)
    policy.save_pretrained(tmp_path)
    again = load_policy(tmp_path).act(temperature=0.0, **inputs_of(policy, seen))
    assert torch.equal(again.tokens, output.tokens)


def test_what_does_not_fit_is_refused():
    policy, seen = make(), observe()
    with pytest.raises(ValueError, match="image_size is a multiple of 8; got 60"):
        TinyVLA(image_size=60)
    with pytest.raises(ValueError, match=r"H a multiple of 32; got \(5, 48, 48, 3\)"):
        inputs_of(policy, observe(size=48))
    with pytest.raises(ValueError, match="built for state_dim 3; the observation has 0"):
        policy.preprocess(seen.images, seen.instruction, None)
    with pytest.raises(ValueError, match="looks through 2 cameras; got base"):
        make(num_cameras=2).preprocess(seen.images, seen.instruction, seen.state)


def test_a_saved_policy_comes_back_bit_for_bit(tmp_path):
    policy = make()
    policy.save_pretrained(tmp_path / "policy")
    for path in (tmp_path, tmp_path / "policy"):
        again = load_policy(path)
        assert again.config == policy.config
        for name, value in policy.state_dict().items():
            assert torch.equal(value, again.state_dict()[name])


def test_a_folder_without_or_with_another_policy_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no policy"):
        load_policy(tmp_path)
    policy = make()
    policy.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "width": 64}))
    with pytest.raises(ValueError, match="does not fit its config.json"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "colour": 1}))
    with pytest.raises(ValueError, match="tiny_vla has no colour"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "tiny_vlm"}))
    with pytest.raises(LookupError, match="Did you mean 'tiny_vla'"):
        load_policy(tmp_path)


def test_policy_batch_selects_rows_of_everything():
    seen = observe()
    numbers = torch.arange(5.0)
    batch = PolicyBatch(seen, torch.arange(10).view(5, 2), torch.ones(5, 2).bool(), torch.rand(5, 2), *[numbers] * 3)
    rows = batch.select(torch.tensor([4, 1]))
    assert rows.advantage.tolist() == [4.0, 1.0]
    assert torch.equal(rows.observation.images["base"], seen.images["base"][[4, 1]])
    assert len(rows) == len(rows.observation) == 2
