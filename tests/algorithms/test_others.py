"""RFTF, REINFORCE and AWR against their formulas."""

import math

import pytest
import torch

from feat2go.algorithms import AWR, RFTF, Reinforce


@pytest.fixture
def outcomes(make_rollout):
    """Three decisions; environment 0 succeeds with the last, 1 fails at the second, 2 goes on."""
    reward = torch.tensor([[0.1, 0.2, 0.9], [0.3, -0.4, 0.9], [0.5, 0.9, 0.9]], dtype=torch.float64)
    return make_rollout(3, 3, ends=[(1, 1, 0, False), (2, 0, 0, True)], reward=reward)


def test_rftf_by_hand(outcomes):
    batch = RFTF(gamma=0.5, lam=0.8, success_weight=0.25, failure_weight=1.0).prepare(outcomes)
    # gamma * lambda = .4. Rows: (0,0) (0,1) (1,0) (1,1) (2,0); what has not ended has no outcome.
    expected = [
        0.25 * (1 + 0.1 + 0.4 * (0.3 + 0.4 * 0.5)),
        -1 + 0.2 - 0.4 * 0.4,
        0.25 * (1 + 0.3 + 0.4 * 0.5),
        -1 - 0.4,
        0.25 * (1 + 0.5),
    ]
    assert batch.advantage.tolist() == pytest.approx(expected, abs=1e-12)


def test_rftf_with_lambda_one_telescopes(make_rollout):
    """With R = gamma V' - V, the sum ahead is gamma^(T-t) V_T - V_t."""
    gamma, value = 0.9, torch.tensor([0.2, 0.7, 0.4, 0.8], dtype=torch.float64)
    reward = (gamma * value[1:] - value[:-1])[:, None]
    batch = RFTF(gamma=gamma, lam=1.0).prepare(make_rollout(3, 1, ends=[(2, 0, 0, True)], reward=reward))
    expected = [0.25 * (1 + gamma ** (3 - t) * 0.8 - value[t].item()) for t in range(3)]
    assert batch.advantage.tolist() == pytest.approx(expected, abs=1e-12)


def test_rftf_with_a_constant_value_is_the_outcome_alone(make_rollout):
    ends = [(1, 0, 0, True), (1, 1, 0, False)]
    batch = RFTF(gamma=1.0, success_weight=0.25, failure_weight=2.0).prepare(make_rollout(2, 2, ends=ends))
    assert batch.advantage.tolist() == [0.25, -2.0, 0.25, -2.0]


def test_reinforce_by_hand(make_rollout, table):
    reward = torch.tensor([[1.0, 0.0, 0.5]], dtype=torch.float64)
    ends = [(0, n, 0, n == 0) for n in range(3)]
    rollout = make_rollout(1, 3, ends=ends, reward=reward, group=torch.zeros(1, 3, dtype=torch.int64))
    algorithm, policy = Reinforce(), table(chunk=1).double()
    batch = algorithm.prepare(rollout)
    assert batch.advantage.tolist() == pytest.approx([1 - 0.25, 0 - 0.75, 0.5 - 0.5], abs=1e-12)
    loss, metrics = algorithm.loss(policy, batch)
    assert loss.item() == pytest.approx(-(0.75 - 0.75 + 0.0) * math.log(0.25) / 3, abs=1e-12)
    assert metrics["ratio_error"].item() == pytest.approx(0.0, abs=1e-12)
    loss.backward()
    expected = torch.zeros(4, dtype=torch.float64)
    for token, advantage in zip(batch.tokens[:, 0], batch.advantage, strict=True):
        one_hot = torch.nn.functional.one_hot(token, 4)
        expected -= advantage * (one_hot - 0.25) / 3
    torch.testing.assert_close(policy.logits.grad[0], expected, rtol=1e-10, atol=1e-12)


def test_reinforce_needs_groups(outcomes):
    with pytest.raises(ValueError, match="reinforce compares episodes"):
        Reinforce().prepare(outcomes)


def test_awr_by_hand(make_rollout, table):
    value = torch.tensor([[0.25, 0.25]])
    rollout = make_rollout(
        1, 2, ends=[(0, 0, 0, True)], value=value, reward=torch.tensor([[1.0, 0.0]]).double(), last_value=value[0]
    )
    algorithm, policy = AWR(gamma=1.0, beta=0.5, max_weight=4.0, value_coef=2.0), table(chunk=1).double()
    batch = algorithm.prepare(rollout)
    # Advantages .75 and 0: weights e^1.5, cut off at 4, and 1. Both tokens have the probability 1/4.
    assert batch.advantage.tolist() == pytest.approx([0.75, 0.0])
    loss, metrics = algorithm.loss(policy, batch)
    assert loss.item() == pytest.approx(-(4 + 1) / 2 * math.log(0.25) + 2.0 * 0.5 * (0.75**2) / 2, abs=1e-9)
    assert metrics["weight"].item() == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("algorithm", "settings", "message"),
    [
        (RFTF, {"lam": 2.0}, "gamma and lam lie in"),
        (RFTF, {"failure_weight": -1.0}, "failure_weight are at least 0"),
        (Reinforce, {"temperature": 0.0}, "temperature is above 0"),
        (Reinforce, {"logprob_level": "word"}, "unknown logprob_level"),
        (AWR, {"beta": 0.0}, "beta and max_weight are above 0"),
    ],
)
def test_settings_are_checked(algorithm, settings, message):
    with pytest.raises(ValueError, match=message):
        algorithm(**settings)
