import math
from dataclasses import replace

import pytest
import torch

from feat2go.algorithms import GRPO


@pytest.fixture
def two_groups(make_rollout):
    """Four episodes of up to two decisions, returns 1, .2 and .5, .3: one success, then two failures."""
    reward = torch.zeros(2, 4, dtype=torch.float64)
    reward[1, 0], reward[1, 1], reward[1, 2], reward[0, 3] = 1.0, 0.2, 0.5, 0.3
    valid = torch.ones(2, 4, 1, dtype=torch.bool)
    valid[1, 3] = False  # idles
    ends = [(0, 3, 0, False), (1, 0, 0, True), (1, 1, 0, False), (1, 2, 0, False)]
    group = torch.tensor([[7, 7, 4, 4]]).expand(2, 4)
    return make_rollout(2, 4, ends=ends, reward=reward, valid=valid, group=group)


def advantages(batch):
    return batch.advantage.tolist()


def test_prepare_by_hand(two_groups):
    batch = GRPO(gamma=0.5).prepare(two_groups)
    # Group 7: mean .6, unbiased deviation sqrt(2 * .4^2) = .5657; group 4: .4 and sqrt(2 * .1^2) = .1414.
    big, small = 0.4 / (math.sqrt(0.32) + 1e-6), 0.1 / (math.sqrt(0.02) + 1e-6)
    # Rows are (t, n); environment 3 idles at t = 1.
    expected = [0.5 * big, -0.5 * big, 0.5 * small, -small, big, -big, small]
    assert advantages(batch) == pytest.approx(expected, abs=1e-9)
    assert batch.mask.all()


def test_with_gamma_one_the_advantage_is_that_of_the_episode(two_groups):
    batch = GRPO().prepare(two_groups)
    assert advantages(batch)[:3] == advantages(batch)[4:]


def test_all_fail_groups_are_kept_or_not_by_a_switch(two_groups):
    assert len(GRPO(keep_failed_groups=True).prepare(two_groups)) == 7
    # The first group's rate is 1/2, the second's 0, whatever the shaped returns are.
    batch = GRPO(keep_failed_groups=False).prepare(two_groups)
    assert len(batch) == 4
    assert len(GRPO(keep_failed_groups=False, min_success=0.0).prepare(two_groups)) == 7


@pytest.mark.parametrize(("bounds", "num_rows"), [((0.1, 0.9), 4), ((0.5, 0.5), 4), ((0.6, 0.9), 8), ((0.1, 0.4), 8)])
def test_bounds_are_on_the_rate_of_success(two_groups, bounds, num_rows):
    algorithm = GRPO(keep_failed_groups=False, min_success=bounds[0], max_success=bounds[1])
    batch = algorithm.prepare(two_groups)
    # All eight, the idle one too, stand for a rollout in which nothing is left to learn.
    assert len(batch) == num_rows
    assert batch.mask.any() == (num_rows == 4)


def test_a_rollout_without_a_group_to_learn_from_teaches_nothing(two_groups, table):
    algorithm = GRPO(keep_failed_groups=False, min_success=0.6)
    policy = table(chunk=1).double()
    loss, metrics = algorithm.loss(policy, algorithm.prepare(two_groups))
    loss.backward()
    assert loss.item() == 0.0
    assert policy.logits.grad.abs().sum() == 0.0
    assert all(value.isfinite() for value in metrics.values())


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_episodes_does_not_matter(make_rollout, seed):
    """Permuting environments permutes rows, whichever groups they belong to."""
    generator = torch.Generator().manual_seed(seed)
    ends = [(1, n, 0, n % 3 == 0) for n in range(8)]
    reward = torch.rand(2, 8, generator=generator, dtype=torch.float64)
    group = torch.arange(8).div(4, rounding_mode="floor").expand(2, 8)
    rollout = make_rollout(2, 8, ends=ends, reward=reward, group=group)
    order = torch.randperm(8, generator=generator)
    names = ("tokens", "logprob", "value", "reward", "terminated", "truncated", "success", "valid", "group")
    moved = replace(rollout, **{name: getattr(rollout, name)[:, order] for name in names})
    before = GRPO(gamma=0.9).prepare(rollout).advantage.view(2, 8)
    after = GRPO(gamma=0.9).prepare(moved).advantage.view(2, 8)
    torch.testing.assert_close(after, before[:, order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("scale", "shift"), [(5.0, 0.0), (1.0, 3.0)])
def test_scale_and_offset_of_the_reward_do_not_matter(two_groups, scale, shift):
    ended = two_groups.terminated | two_groups.truncated
    other = replace(two_groups, reward=two_groups.reward * scale + shift * ended * two_groups.valid[..., 0])
    # Up to the 1e-6 beside a standard deviation of .14 at the least.
    assert advantages(GRPO().prepare(other)) == pytest.approx(advantages(GRPO().prepare(two_groups)), abs=1e-5)


def test_the_loss_is_the_mean_over_the_tokens_that_count(two_groups, table):
    algorithm, policy = GRPO(clip_low=0.2, clip_high=0.28, dual_clip=3.0), table(chunk=1).double()
    with torch.no_grad():
        policy.logits.copy_(torch.tensor([[0.9, -0.3, 0.0, -2.5]]))
    batch = algorithm.prepare(two_groups)
    total = 0.0
    for i in range(len(batch)):
        probability = policy.logits.softmax(-1)[0, batch.tokens[i, 0]].item()
        ratio, advantage = probability / 0.25, batch.advantage[i].item()
        objective = min(ratio * advantage, min(max(ratio, 0.8), 1.28) * advantage)
        total -= max(objective, 3.0 * advantage) if advantage < 0 else objective
    loss, metrics = algorithm.loss(policy, batch)
    assert loss.item() == pytest.approx(total / len(batch), abs=1e-9)
    assert metrics["clip_fraction"] > 0


def test_kl_to_the_start_is_k3(two_groups, table):
    algorithm = GRPO(kl_coef=2.0)
    policy, start = table(chunk=1).double(), table(chunk=1).double()
    with torch.no_grad():
        policy.logits.copy_(torch.tensor([[0.5, 0.0, 0.0, -0.5]]))
    batch = algorithm.prepare(two_groups)
    log_ratio = [(0.25 / policy.logits.softmax(-1)[0, token]).log().item() for token in batch.tokens[:, 0]]
    k3 = sum(math.exp(r) - 1 - r for r in log_ratio) / len(log_ratio)
    with_kl, metrics = algorithm.loss(policy, batch, reference=start)
    without, _ = GRPO().loss(policy, batch)
    assert algorithm.needs_reference
    assert not GRPO().needs_reference
    assert metrics["kl_to_start"].item() == pytest.approx(k3, abs=1e-9)
    assert (with_kl - without).item() == pytest.approx(2.0 * k3, abs=1e-9)
    with pytest.raises(ValueError, match="needs the reference policy"):
        algorithm.loss(policy, batch)


def test_a_rollout_without_groups_is_refused(make_rollout):
    with pytest.raises(ValueError, match="grpo compares episodes that began in the same state"):
        GRPO().prepare(make_rollout(1, 2, ends=[(0, 0, 0, True)]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": -0.1}, "gamma and lam lie in"),
        ({"min_success": 0.9, "max_success": 0.1}, "min_success <= max_success"),
        ({"logprob_level": "word"}, "unknown logprob_level 'word'"),
        ({"clip_high": 0.0}, "above 0"),
        ({"kl_coef": -1.0}, "kl_coef is at least 0"),
        ({"temperature": 0.0}, "temperature is above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        GRPO(**settings)
