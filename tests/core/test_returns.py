import pytest
import torch

from feat2go.core.returns import gae

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
