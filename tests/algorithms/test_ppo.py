import pytest
import torch

from feat2go.algorithms import BC, PPO
from feat2go.core import Observation, PolicyEvaluation, Rollout


class TablePolicy(torch.nn.Module):
    """Two actions of one token each; the logits are the parameters."""

    action_dim, chunk = 1, 2

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(2, 4))
        self.critic = torch.nn.Parameter(torch.tensor(0.25))

    def preprocess(self, images, instructions, state=None):
        return {}

    def evaluate(self, tokens, *, temperature=1.0, **inputs):
        logprobs = (self.logits / temperature).log_softmax(-1).expand(len(tokens), 2, 4)
        logprob = logprobs.gather(-1, tokens[..., None])[..., 0]
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        return PolicyEvaluation(logprob, entropy, self.critic.expand(len(tokens)))


def observation(num_rows):
    return Observation({"base": torch.zeros(num_rows, 1, 1, 3, dtype=torch.uint8)}, None, ["x"] * num_rows)


def make_rollout(num_steps=3, num_envs=2):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 4, (num_steps, num_envs, 2), generator=generator)
    shape = (num_steps, num_envs)
    valid = torch.ones(*shape, 2, dtype=torch.bool)
    valid[1, 0, 1] = False  # ended in the middle of a chunk
    valid[2, 1] = False  # carried out nothing
    terminated = torch.zeros(shape, dtype=torch.bool)
    terminated[1, 0] = True
    reward = torch.zeros(shape)
    reward[1, 0] = 1.0
    return Rollout(
        observation=observation(num_steps * num_envs),
        tokens=tokens,
        logprob=torch.full((*shape, 2), -1.3862944),
        value=torch.full(shape, 0.25),
        reward=reward,
        terminated=terminated,
        truncated=torch.tensor([[False, False], [False, False], [False, True]]),
        success=terminated,
        valid=valid,
        bootstrap=torch.full(shape, 0.25),
        last_value=torch.full((num_envs,), 0.25),
        final_index=torch.tensor([[1, 0]]),
        final_observation=observation(1),
    )


def test_prepare_keeps_the_decisions_that_were_carried_out():
    batch = PPO(normalise_advantage=False).prepare(make_rollout())
    assert len(batch) == 5
    assert batch.mask.tolist() == [[True, True], [True, True], [True, False], [True, True], [True, True]]
    torch.testing.assert_close(batch.target_return, batch.advantage + batch.value)


def test_prepare_by_hand():
    batch = PPO(gamma=1.0, lam=1.0, normalise_advantage=False).prepare(make_rollout())
    # Rows are (t, n): (0,0) (0,1) (1,0) (1,1) (2,0). Environment 0 ends with reward 1 at t = 1.
    assert batch.advantage.tolist() == pytest.approx([0.75, 0.0, 0.75, 0.0, 0.0])


def test_advantages_are_normalised_over_valid_rows_only():
    rollout = make_rollout()
    rollout.reward[2, 1] = 1000.0  # not carried out: must not count
    advantage = PPO(lam=0.0).prepare(rollout).advantage
    assert advantage.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantage.std(correction=0).item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("level", ["token", "action", "chunk"])
def test_the_first_ratio_is_one_and_nothing_is_clipped(level):
    algorithm = PPO(logprob_level=level)
    _, metrics = algorithm.loss(TablePolicy(), algorithm.prepare(make_rollout()))
    assert metrics["ratio"].item() == pytest.approx(1.0, abs=1e-6)
    assert metrics["clip_fraction"].item() == 0.0
    assert metrics["kl"].item() == pytest.approx(0.0, abs=1e-6)


def test_a_step_makes_good_tokens_likelier_and_the_wrong_sign_does_the_opposite():
    for sign in (1, -1):
        policy, algorithm = TablePolicy(), PPO(value_coef=0.0, normalise_advantage=False)
        batch = algorithm.prepare(make_rollout())
        object.__setattr__(batch, "advantage", sign * torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0]))
        before = policy.evaluate(batch.tokens).logprob.detach()
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
        algorithm.loss(policy, batch)[0].backward()
        optimizer.step()
        gain = ((policy.evaluate(batch.tokens).logprob - before) * batch.mask).sum(1) * batch.advantage * sign
        assert (gain.sum() > 0) == (sign == 1)


def test_kl_to_the_start_needs_and_uses_the_reference():
    algorithm = PPO(kl_coef=10.0, value_coef=0.0)
    batch = algorithm.prepare(make_rollout())
    policy, start = TablePolicy(), TablePolicy()
    with pytest.raises(ValueError, match="needs the reference policy"):
        algorithm.loss(policy, batch)
    _, metrics = algorithm.loss(policy, batch, reference=start)
    assert metrics["kl_to_start"].item() == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        policy.logits[:, 0] += 1.0
    _, metrics = algorithm.loss(policy, batch, reference=start)
    assert metrics["kl_to_start"].item() > 0.01
    assert not PPO().needs_reference


def test_entropy_bonus_is_subtracted():
    batch = PPO().prepare(make_rollout())
    plain, metrics = PPO().loss(TablePolicy(), batch)
    rewarded, _ = PPO(entropy_coef=0.1).loss(TablePolicy(), batch)
    assert (plain - rewarded).item() == pytest.approx(0.1 * metrics["entropy"].item(), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1.5}, "gamma and lam lie in"),
        ({"clip_low": 0.0}, "above 0"),
        ({"dual_clip": 0.5}, "dual_clip is above 1"),
        ({"logprob_level": "word"}, "unknown logprob_level 'word'"),
        ({"temperature": 0.0}, "temperature is above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        PPO(**settings)


def test_bc_is_the_cross_entropy_of_the_counted_tokens():
    policy, batch = TablePolicy(), PPO().prepare(make_rollout())
    with torch.no_grad():
        policy.logits.copy_(torch.arange(8.0).view(2, 4))
    loss, _ = BC().loss(policy, batch)
    logprobs = policy.logits.log_softmax(-1)
    expected = [-logprobs[j, batch.tokens[i, j]] for i in range(5) for j in range(2) if batch.mask[i, j]]
    assert loss.item() == pytest.approx((sum(expected) / len(expected)).item(), rel=1e-5)


def test_bc_noise_moves_tokens_to_neighbours():
    torch.manual_seed(0)
    blurred = BC(token_noise=2.0, num_bins=256)._blur(torch.full((1000, 1), 254))
    assert 250 < blurred.float().mean() < 255
    assert blurred.max() == 255
    assert blurred.unique().numel() > 3
    with pytest.raises(ValueError, match="at least 0"):
        BC(token_noise=-1.0)
