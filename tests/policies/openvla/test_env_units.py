"""From a checkpoint's normalised actions to those of an environment, and back."""

import pytest
import torch

from feat2go.policies import OpenVLA, OpenVLAOFT

UNITS = [0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 1.0]


@pytest.fixture(scope="module")
def policy(tiny):
    return OpenVLAOFT(str(tiny), chunk=2, env_units=UNITS).eval()


def inputs_of(policy):
    return policy.preprocess({"base": torch.zeros(1, 28, 28, 3, dtype=torch.uint8)}, ["lift"])


def test_actions_are_those_of_the_statistics_in_units_of_the_environment(policy):
    output = policy.act(**inputs_of(policy))
    own = policy.unnormalize(policy.decode(output.tokens))
    expected = (own[..., :6] / torch.tensor(UNITS[:6])).clamp(-1, 1)
    torch.testing.assert_close(output.actions[..., :6], expected)
    assert torch.equal(output.actions[..., 6], torch.where(own[..., 6] > 0.5, 1.0, -1.0))


def test_what_was_demonstrated_comes_back_as_it_was_to_a_bin(policy):
    # Within what the statistics of the checkpoint cover: from q01, below -1, to q99, above 0.5, in its own units.
    actions = torch.rand(5, 2, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    actions[..., 6] = actions[..., 6].sign()
    again = policy._for_env(policy.decode(policy.encode(actions)))
    # A bin is 1/127.5 of half the statistics' range, at most 3.5 of its own units; the smallest unit is 0.1.
    torch.testing.assert_close(again[..., :3], actions[..., :3], rtol=0, atol=1.75 / 127.5 / 0.1)
    torch.testing.assert_close(again[..., 3:6], actions[..., 3:6], rtol=0, atol=1.75 / 127.5 / 0.5)
    assert torch.equal(again[..., 6], actions[..., 6])


def test_without_units_the_environment_takes_normalised_actions(tiny):
    policy = OpenVLA(str(tiny))
    output = policy.act(**inputs_of(policy))
    assert torch.equal(output.actions, policy.decode(output.tokens))


def test_units_that_can_not_be_are_refused(tiny):
    with pytest.raises(ValueError, match="env_units are 7 numbers above 0"):
        OpenVLA(str(tiny), env_units=[0.1])
