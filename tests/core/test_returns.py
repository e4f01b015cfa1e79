import itertools
import math

import pytest
import torch

from feat2go.core.returns import episode_returns, gae, group_advantage, leave_one_out

NO = torch.zeros(3, 1, dtype=torch.bool)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def reference(reward, value, terminated, truncated, bootstrap, last_value, gamma, lam):
    """The definition, one episode segment at a time: a double sum in plain Python."""
    num_steps, num_envs = reward.shape
    advantage = torch.zeros_like(reward)
    for n in range(num_envs):
        for t in range(num_steps):
            discount = 1.0
            for k in range(t, num_steps):
                if terminated[k, n]:
                    following = 0.0
                elif truncated[k, n]:
                    following = bootstrap[k, n].item()
                else:
                    following = (value[k + 1, n] if k + 1 < num_steps else last_value[n]).item()
                delta = reward[k, n].item() + gamma * following - value[k, n].item()
                advantage[t, n] += discount * delta
                if terminated[k, n] or truncated[k, n]:
                    break
                discount *= gamma * lam
    return advantage


def test_by_hand_without_an_end():
    # deltas: 0 + .5*2 - 1 = 0; 0 + .5*4 - 2 = 0; 1 + .5*6 - 4 = 0
    advantage = gae(column(0, 0, 1), column(1, 2, 4), NO, NO, column(0, 0, 0), torch.tensor([6.0]).double(), 0.5, 0.5)
    torch.testing.assert_close(advantage, column(0, 0, 0))


def test_termination_cuts_the_future():
    terminated = torch.tensor([[False], [True], [False]])
    advantage = gae(
        column(0, 1, 0), column(0.5, 0.5, 0.5), terminated, NO, column(9, 9, 9), torch.tensor([8.0]).double(), 1.0, 1.0
    )
    torch.testing.assert_close(advantage, column(0.5, 0.5, 7.5))


def test_truncation_bootstraps_from_the_final_observation_only():
    truncated = torch.tensor([[False], [True], [False]])
    advantage = gae(
        column(0, 0, 0), column(1, 1, 1), NO, truncated, column(5, 3, 5), torch.tensor([1.0]).double(), 1.0, 1.0
    )
    torch.testing.assert_close(advantage, column(2, 2, 0))


@pytest.mark.parametrize("seed", range(5))
def test_matches_the_double_sum(seed):
    generator = torch.Generator().manual_seed(seed)
    reward, value, bootstrap = torch.randn(3, 12, 4, generator=generator, dtype=torch.float64)
    end = torch.rand(12, 4, generator=generator)
    terminated, truncated = end < 0.15, (end > 0.8)
    last_value = torch.randn(4, generator=generator, dtype=torch.float64)
    arguments = (reward, value, terminated, truncated, bootstrap, last_value, 0.97, 0.9)
    torch.testing.assert_close(gae(*arguments), reference(*arguments), rtol=1e-10, atol=1e-12)


def test_both_ends_at_once_are_refused():
    both = torch.tensor([[True], [False], [False]])
    with pytest.raises(ValueError, match="both terminated and truncated"):
        gae(column(0, 0, 0), column(0, 0, 0), both, both, column(0, 0, 0), torch.zeros(1), 1.0, 1.0)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"last_value \(N,\)"):
        gae(column(0, 0, 0), column(0, 0, 0), NO, NO, column(0, 0, 0), torch.zeros(2), 1.0, 1.0)
    with pytest.raises(ValueError, match="value has shape"):
        gae(column(0, 0, 0), column(0, 0), NO, NO, column(0, 0, 0), torch.zeros(1), 1.0, 1.0)


def float64(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_group_advantage_by_hand():
    returns, group = float64(1, 2, 4, 0, 10), torch.tensor([5, 5, 5, 2, 2])
    # Means 7/3 and 5; unbiased deviations sqrt((16 + 1 + 25) / 9 / 2) and sqrt(50).
    first, second = math.sqrt(42 / 18) + 1e-6, math.sqrt(50) + 1e-6
    expected = float64(-4 / 3 / first, -1 / 3 / first, 5 / 3 / first, -5 / second, 5 / second)
    torch.testing.assert_close(group_advantage(returns, group), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_group_of_equal_returns_has_no_advantage_at_all(value, dtype):
    # The mean of three times 0.1 is not 0.1.
    returns = torch.full((3,), value, dtype=dtype)
    assert group_advantage(returns, torch.zeros(3, dtype=torch.int64)).tolist() == [0.0] * 3


def test_nor_has_a_group_of_one():
    assert group_advantage(float64(3, 4), torch.tensor([0, 1])).tolist() == [0.0, 0.0]
    assert leave_one_out(float64(3, 4), torch.tensor([0, 1])).tolist() == [0.0, 0.0]


def test_eps_is_beside_the_deviation():
    advantage = group_advantage(float64(0, 2), torch.zeros(2, dtype=torch.int64), eps=math.sqrt(2))
    assert advantage.tolist() == pytest.approx([-1 / (2 * math.sqrt(2)), 1 / (2 * math.sqrt(2))], rel=1e-12)


def test_the_dtype_is_that_of_the_returns():
    for dtype in (torch.float32, torch.float64):
        returns, group = torch.tensor([0.0, 1.0], dtype=dtype), torch.zeros(2, dtype=torch.int64)
        assert group_advantage(returns, group).dtype == leave_one_out(returns, group).dtype == dtype


@pytest.mark.parametrize("function", [group_advantage, leave_one_out])
def test_episodes_may_come_in_any_order_and_groups_have_any_number(function):
    returns = float64(1, 2, 4, 0, 10, 10)
    group = torch.tensor([0, 0, 0, 1, 1, 1])
    expected = function(returns, group)
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 37):
        order = torch.tensor(order)
        moved = function(returns[order], 7 - 3 * group[order])
        torch.testing.assert_close(moved, expected[order], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("function", [group_advantage, leave_one_out])
def test_the_advantages_of_a_group_add_up_to_nothing(function):
    returns = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    group = torch.arange(40) % 5
    total = torch.zeros(5, dtype=torch.float64).index_add_(0, group, function(returns, group))
    torch.testing.assert_close(total, torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-12)


def test_leave_one_out_by_hand():
    advantage = leave_one_out(float64(1, 2, 6, 3), torch.tensor([0, 0, 0, 1]))
    assert advantage.tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5, 0], abs=1e-12)


@pytest.mark.parametrize("function", [group_advantage, leave_one_out])
def test_no_episodes_and_other_shapes(function):
    assert len(function(torch.zeros(0), torch.zeros(0, dtype=torch.int64))) == 0
    with pytest.raises(ValueError, match=r"both \(E,\); got \(3,\) and \(2,\)"):
        function(torch.zeros(3), torch.zeros(2, dtype=torch.int64))


def test_returns_of_episodes():
    reward = float64(1, 2, 4, 8).view(2, 2)
    assert episode_returns(reward, torch.tensor([[0, -1], [0, 1]]), 3).tolist() == [5.0, 8.0, 0.0]
