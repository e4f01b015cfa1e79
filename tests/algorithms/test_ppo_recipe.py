"""What PPO has beyond its core: a critic of actions, value clip, warm-up, normalisation."""

import pytest
import torch

from feat2go.algorithms import PPO
from feat2go.algorithms.losses import at_level, value_loss


@pytest.fixture
def judged(make_rollout):
    """One environment, chunks of two actions of two tokens; success with the first action of the second decision."""
    return make_rollout(
        2,
        1,
        chunk=2,
        action_dim=2,
        ends=[(1, 0, 0, True)],
        value=[[[0.5, 0.25]], [[0.5, 9.0]]],
        reward=torch.tensor([[0.0], [1.0]]).double(),
    )


def policy_of(table):
    return table(chunk=2, action_dim=2, judges_actions=True).double()


def test_rows_of_a_critic_of_actions(judged):
    batch = PPO(gamma=1.0, lam=1.0, normalise_advantage=False).prepare(judged)
    assert batch.advantage.shape == batch.target_return.shape == (2, 2)
    # Every action led to the return of 1.
    assert batch.target_return[0].tolist() == pytest.approx([1.0, 1.0])
    assert batch.target_return[1, 0].item() == pytest.approx(1.0)
    assert batch.advantage[0].tolist() == pytest.approx([0.5, 0.75])


@pytest.mark.parametrize("level", ["token", "action"])
def test_each_action_has_its_own_advantage(judged, table, level):
    algorithm = PPO(gamma=1.0, lam=1.0, normalise_advantage=False, value_coef=0.0, logprob_level=level)
    policy = policy_of(table)
    batch = algorithm.prepare(judged)
    algorithm.loss(policy, batch)[0].backward()
    # Ratios are 1: the gradient of a token's logits is -A (one-hot - 1/4) / number of terms.
    advantage, num_terms = (
        batch.advantage.repeat_interleave(2, dim=1),
        batch.mask.sum() / (1 if level == "token" else 2),
    )
    expected = torch.zeros(4, 4, dtype=torch.float64)
    for i, j in batch.mask.nonzero().tolist():
        expected[j] -= advantage[i, j] * (torch.eye(4, dtype=torch.float64)[batch.tokens[i, j]] - 0.25) / num_terms
    torch.testing.assert_close(policy.logits.grad, expected, rtol=1e-9, atol=1e-12)


def test_a_critic_of_actions_has_no_ratio_of_the_chunk(judged, table):
    algorithm = PPO(logprob_level="chunk")
    with pytest.raises(ValueError, match="'chunk' needs one advantage per decision"):
        algorithm.loss(policy_of(table), algorithm.prepare(judged))


def test_advantages_at_each_level():
    by_action = torch.tensor([[1.0, 2.0]])
    assert at_level(by_action, "token", 2).tolist() == [[1.0, 1.0, 2.0, 2.0]]
    assert at_level(by_action, "action", 2) is by_action
    assert at_level(torch.tensor([3.0]), "chunk", 2).tolist() == [[3.0]]


def test_values_of_actions_that_were_not_carried_out_do_not_count(judged, table):
    algorithm, policy = PPO(gamma=1.0, lam=1.0, huber_delta=10.0), policy_of(table)
    batch = algorithm.prepare(judged)
    _, metrics = algorithm.loss(policy, batch)
    # Three actions with a return of 1 and a value of .25; the fourth's return is nonsense.
    assert metrics["value_loss"].item() == pytest.approx(0.5 * 0.75**2, abs=1e-9)


def test_normalisation_is_over_what_was_carried_out(judged):
    batch = PPO(gamma=1.0, lam=1.0).prepare(judged)
    chosen = batch.advantage[torch.tensor([[True, True], [True, False]])]
    assert chosen.mean().item() == pytest.approx(0.0, abs=1e-9)
    raw = torch.tensor([0.5, 0.75, 0.5], dtype=torch.float64)
    expected = (raw - raw.mean()) / (raw.std(correction=0) + 1e-5)
    torch.testing.assert_close(chosen, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "old", "target", "expected"),
    [
        (1.0, 0.0, 2.0, 0.5 * 1.8**2),  # moved by 1, allowed .2: the loss of .2 is larger
        (0.1, 0.0, 2.0, 0.5 * 1.9**2),  # within the clip
        (1.0, 0.0, -1.0, 0.5 * 2.0**2),  # moved the wrong way: the true loss is larger
    ],
)
def test_value_clip_by_hand(value, old, target, expected):
    value = torch.tensor([value], requires_grad=True)
    loss = value_loss(value, torch.tensor([target]), 10.0, None, torch.tensor([old]), clip=0.2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    # No gradient for what has gone far enough.
    assert (value.grad.item() == 0.0) == (target == 2.0 and old + 0.2 < value.item())


def test_value_clip_is_part_of_the_loss(judged, table):
    policy = policy_of(table)
    with torch.no_grad():
        policy.critic.fill_(0.9)
    batch = PPO(gamma=1.0, lam=1.0).prepare(judged)
    plain = PPO().loss(policy, batch)[1]["value_loss"].item()
    clipped = PPO(value_clip=0.1).loss(policy, batch)[1]["value_loss"].item()
    assert plain == pytest.approx(0.5 * 0.1**2, abs=1e-9)
    # Values were .5, .25 and .5; they may move by .1.
    assert clipped == pytest.approx(0.5 * (0.4**2 + 0.65**2 + 0.4**2) / 3, abs=1e-9)


def test_while_the_critic_warms_up_the_actor_has_no_gradient(judged, table):
    algorithm, policy = PPO(critic_warmup=2, entropy_coef=0.1), policy_of(table)
    batch = algorithm.prepare(judged)
    for iteration, trains_critic_only in enumerate([True, True, False]):
        algorithm.begin_iteration(iteration)
        assert algorithm.trains_critic_only == trains_critic_only
        policy.zero_grad(set_to_none=True)
        algorithm.loss(policy, batch)[0].backward()
        assert policy.critic.grad.abs().sum() > 0
        assert (policy.logits.grad is None) == trains_critic_only


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value_clip": 0.0}, "value_clip is above 0"),
        ({"critic_warmup": -1}, "critic_warmup is a number of iterations"),
        ({"max_kl": 0.0}, "max_kl is above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        PPO(**settings)
