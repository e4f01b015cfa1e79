from dataclasses import replace

import pytest
import torch

from feat2go.core import DenseRewardShaper, RewardShaper
from feat2go.registry import REWARDS
from feat2go.rewards import ManiSkillDense, Potential, RFTFDense, Sparse, StepsToGo, TerminalValue
from feat2go.rollouts.relabel import relabel, terminal_values

# What the value model says of each decision's picture and of what it led to.
VALUE = torch.tensor([[0.1, 0.2, 0.5], [0.3, 0.4, 0.5], [0.1, 0.8, 0.5], [0.2, 0.2, 0.5]])
NEXT = torch.tensor([[0.3, 0.4, 0.5], [0.6, 0.8, 0.5], [0.2, 0.6, 0.5], [0.4, 0.6, 0.5]])


def columns(*environments):
    return torch.tensor(environments).T


def test_potential_by_hand(rollout):
    expected = columns(
        # Terminated at t = 1: the potential of the end is 0.
        [0.5 * 0.3 - 0.1, -0.3, 0.5 * 0.2 - 0.1, 0.5 * 0.4 - 0.2],
        # Cut off at t = 2: what follows has a potential, on which the critic builds.
        [0.5 * 0.4 - 0.2, 0.5 * 0.8 - 0.4, 0.5 * 0.6 - 0.8, 0.5 * 0.6 - 0.2],
        [-0.25] * 4,
    )
    torch.testing.assert_close(Potential(gamma=0.5).dense(rollout, VALUE, NEXT), expected)
    torch.testing.assert_close(Potential(gamma=0.5, scale=2.0).dense(rollout, VALUE, NEXT), 2 * expected)


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_potential_shifts_the_return_of_an_episode_by_its_first_potential_only(rollout, gamma):
    """Ng et al. 1999: so the best policy stays the best."""
    dense = Potential(gamma=gamma).dense(rollout, VALUE, torch.cat([VALUE[1:], NEXT[3:]]))
    assert (dense[0, 0] + gamma * dense[1, 0]).item() == pytest.approx(-VALUE[0, 0].item(), abs=1e-6)


def test_rftf_by_hand(rollout):
    expected = columns(
        # The episode's values are .1, .3, .6, so 0, .4 and 1; then .1, .2, .4, so 0, 1/3 and 1.
        [0.9 * 0.4, 0.9 - 0.4, 0.9 / 3, 0.9 - 1 / 3],
        # .2, .4, .8, .6: 0, 1/3, 1, 2/3; then .2 and .6.
        [0.9 / 3, 0.9 - 1 / 3, 0.9 * 2 / 3 - 1, 0.9],
        # All equal.
        [0.0] * 4,
    )
    torch.testing.assert_close(RFTFDense(gamma=0.9).dense(rollout, VALUE, NEXT), expected)


def test_rftf_telescopes_over_an_episode(rollout):
    gamma = 0.9
    dense = RFTFDense(gamma).dense(rollout, VALUE, NEXT)
    total = sum(gamma**t * dense[t, 1].item() for t in range(3))
    # gamma^T V(s_T) - V(s_0), of the stretched values.
    assert total == pytest.approx(gamma**3 * 2 / 3, abs=1e-6)


def test_steps_to_go_by_hand(rollout):
    expected = NEXT - VALUE
    expected[1, 0] = 1.0 - 0.3  # success: no steps to go, whatever the model says
    torch.testing.assert_close(StepsToGo().dense(rollout, VALUE, NEXT), expected)


def test_steps_saved_add_up_to_the_way(rollout):
    dense = StepsToGo().dense(rollout, VALUE, NEXT)
    assert dense[:2, 0].sum().item() == pytest.approx(1 - 0.1)
    assert dense[:3, 1].sum().item() == pytest.approx(0.6 - 0.2)


def test_the_simulators_reward_is_passed_on(rollout):
    env_reward = torch.arange(12.0).reshape(4, 3)
    assert torch.equal(ManiSkillDense().dense(replace(rollout, env_reward=env_reward), VALUE, NEXT), env_reward)
    with pytest.raises(ValueError, match=r"set env.init_args.dense_reward to true"):
        ManiSkillDense().dense(rollout, VALUE, NEXT)


class Grey:
    """A value model that reads the grey level."""

    def __init__(self):
        self.num_frames = 0

    def predict(self, images, instruction):
        self.num_frames += len(images)
        return images[:, 0, 0, 0].float() / 100


def test_relabelling_adds_the_way_to_the_outcome_and_asks_for_each_frame_once(rollout):
    predictor = Grey()
    terminal_value = terminal_values(rollout, predictor)
    shaped = relabel(rollout, Potential(gamma=1.0), terminal_value, predictor)
    expected = columns(
        [0.1, 1.0 - 0.2, 0.1, 0.1],
        # The true last frame is 65; the next episode's first is 66.
        [0.02, 0.02, 0.01, 0.02],
        [0.0] * 4,
    )
    torch.testing.assert_close(shaped.reward, expected, atol=1e-6, rtol=0)
    # Two terminal frames, twelve decisions, three that follow.
    assert predictor.num_frames == 2 + 12 + 3


def test_a_terminal_reward_asks_for_terminal_frames_only(rollout):
    predictor = Grey()
    shaped = relabel(rollout, TerminalValue(), terminal_values(rollout, predictor), predictor)
    assert predictor.num_frames == 2
    assert shaped.reward[1, 0] == 1.0
    assert shaped.reward[2, 1].item() == pytest.approx(0.65)
    assert shaped.reward.count_nonzero() == 2


def test_nothing_is_paid_for_what_was_not_carried_out(rollout):
    """Environment 2 lost its simulation at t = 1, and is at the beginning again at t = 2."""
    valid, truncated = rollout.valid.clone(), rollout.truncated.clone()
    valid[1, 2], truncated[1, 2] = False, True
    grey = rollout.observation.images["front"].clone()
    grey[2::3] = torch.tensor([10, 90, 30, 40], dtype=torch.uint8).view(4, 1, 1, 1)
    observation = replace(rollout.observation, images={"front": grey})
    lost = replace(rollout, valid=valid, truncated=truncated, observation=observation)
    predictor = Grey()
    reward = relabel(lost, StepsToGo(), terminal_values(lost, predictor), predictor).reward
    # To the lost frame leads nothing; from t = 2 on the way is the new attempt's.
    torch.testing.assert_close(reward[:, 2], torch.tensor([0.0, 0.0, 0.1, -0.4]), atol=1e-6, rtol=0)


def test_every_registered_reward_has_the_one_interface():
    for name in REWARDS.names():
        if name == "srpo":
            continue
        shaper = REWARDS.get(name)()
        assert isinstance(shaper, RewardShaper)
        success = torch.tensor([True, False])
        assert shaper(success, torch.tensor([0.5, 0.5])).shape == (2,)
        assert isinstance(shaper, DenseRewardShaper) == (name not in ("terminal_value", "sparse"))


@pytest.mark.parametrize("shaper", [TerminalValue(), Sparse(), Potential(), RFTFDense(), StepsToGo(), ManiSkillDense()])
def test_a_rollout_without_ends_is_fine(rollout, shaper):
    zeros = torch.zeros(4, 3, dtype=torch.bool)
    running = replace(
        rollout,
        terminated=zeros,
        truncated=zeros,
        success=zeros,
        final_index=torch.zeros(0, 2, dtype=torch.int64),
        final_observation=rollout.final_observation.select(torch.zeros(0, dtype=torch.int64)),
        env_reward=torch.zeros(4, 3),
    )
    reward = relabel(running, shaper, terminal_values(running, Grey()), Grey()).reward
    assert reward.shape == (4, 3)
    assert reward.isfinite().all()


@pytest.mark.parametrize("shaper", [Potential, RFTFDense])
def test_discounts_are_checked(shaper):
    with pytest.raises(ValueError, match=r"gamma lies in \[0, 1\]"):
        shaper(gamma=1.1)
