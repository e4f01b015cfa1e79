"""Advantages and losses beside TorchRL's, in float64."""

import pytest
import torch

from feat2go.algorithms.losses import clipped_surrogate
from feat2go.core.returns import gae

pytest.importorskip("torchrl", reason="pip install 'feat2go[peers]'")
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import nn
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value.functional import generalized_advantage_estimate


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("gamma", "lam"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0)])
def test_generalised_advantages(seed, gamma, lam):
    generator = torch.Generator().manual_seed(seed)
    reward, value, bootstrap = torch.randn(3, 20, 5, generator=generator, dtype=torch.float64)
    last_value = torch.randn(5, generator=generator, dtype=torch.float64)
    end = torch.rand(20, 5, generator=generator)
    terminated, truncated = end < 0.1, end > 0.9
    ours = gae(reward, value, terminated, truncated, bootstrap, last_value, gamma, lam)
    next_value = torch.where(truncated, bootstrap, torch.cat([value[1:], last_value[None]]))

    def theirs_form(tensor):
        return tensor.T[..., None]

    theirs, _ = generalized_advantage_estimate(
        # Of a plain number they make a float32.
        torch.tensor(gamma, dtype=torch.float64),
        torch.tensor(lam, dtype=torch.float64),
        *map(theirs_form, (value, next_value, reward, terminated | truncated, terminated)),
    )
    torch.testing.assert_close(ours, theirs[..., 0].T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("clip", [(0.2, 0.2), (0.2, 0.28)])
@pytest.mark.parametrize("seed", range(3))
def test_the_clipped_loss_and_its_gradient(seed, clip):
    torch.manual_seed(seed)
    network = nn.Linear(3, 4).double()
    actor = ProbabilisticTensorDictSequential(
        TensorDictModule(network, ["observation"], ["logits"]),
        ProbabilisticTensorDictModule(
            ["logits"], ["action"], distribution_class=torch.distributions.Categorical, return_log_prob=True
        ),
    )
    critic = TensorDictModule(nn.Linear(3, 1).double(), ["observation"], ["state_value"])
    loss = ClipPPOLoss(actor, critic, clip_epsilon=clip, entropy_bonus=False, normalize_advantage=False)
    observation, advantage = torch.randn(64, 3).double(), torch.randn(64, 1).double()
    action, old = torch.randint(4, (64,)), (torch.randn(64).double() - 1.5)
    data = TensorDict(
        {
            "observation": observation,
            "action": action,
            "action_log_prob": old,
            "sample_log_prob": old,
            "advantage": advantage,
            "value_target": torch.zeros(64, 1).double(),
        },
        [64],
    )
    theirs = loss(data)["loss_objective"]
    logprob = network(observation).log_softmax(-1).gather(1, action[:, None])
    ours = clipped_surrogate(logprob, old[:, None], advantage, torch.ones(64, 1, dtype=torch.bool), *clip)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    (our_gradient,) = torch.autograd.grad(ours, network.weight, retain_graph=True)
    parameters = [p for name, p in loss.named_parameters() if "actor" in name and p.shape == (4, 3)]
    (their_gradient,) = torch.autograd.grad(theirs, parameters)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-6, atol=1e-10)
