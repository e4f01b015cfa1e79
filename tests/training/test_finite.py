"""What is not finite stops a run before it reaches the policy, and is on the disk afterwards."""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from safetensors.torch import load_file

from feat2go.algorithms.ppo import PPO
from feat2go.envs.tabletop.env import Tabletop
from feat2go.rewards import Sparse, TerminalValue
from feat2go.training.finite import NotFiniteError, clip_gradients


class Endless(Sparse):
    """A success is worth more than anything, and so is a failure."""

    def __call__(self, success, terminal_value):
        return torch.full(success.shape, torch.inf)


def batch_of(stopped):
    """The tensors that the message points to."""
    assert "stopped before it reached the policy" in str(stopped.value)
    return load_file(Path(re.search(r"The batch is in (\S+\.safetensors)\.", str(stopped.value))[1]))


def test_in_an_observation(fit, monkeypatch):
    step = Tabletop.step

    def spoilt(self, actions, next_seeds=None):
        result = step(self, actions, next_seeds)
        state = result.observation.state.clone()
        state[2, 1] = torch.nan
        return dataclasses.replace(result, observation=dataclasses.replace(result.observation, state=state))

    monkeypatch.setattr(Tabletop, "step", spoilt)
    with pytest.raises(NotFiniteError, match=r"NaN or infinity in observation.state \(epoch 0, step 0\)") as stopped:
        fit()
    assert batch_of(stopped)["state"].isnan().nonzero().tolist() == [[2, 1]]


def test_in_a_reward(fit, make_data, monkeypatch):
    data = make_data()
    monkeypatch.setattr(data, "_reward", Endless())
    with pytest.raises(NotFiniteError, match=r"NaN or infinity in reward \(epoch 0, step 0\)") as stopped:
        fit(data=data)
    assert batch_of(stopped)["reward"].isinf().any()


def test_in_what_the_value_model_says(fit, make_data, monkeypatch):
    data = make_data()
    monkeypatch.setattr(data, "_reward", TerminalValue())
    monkeypatch.setattr(
        data, "_predictor", SimpleNamespace(predict=lambda images, _: torch.full((len(images),), torch.nan))
    )
    with pytest.raises(NotFiniteError, match=r"NaN or infinity in the terminal values \(epoch 0") as stopped:
        fit(data=data)
    assert "final_observation.images.front" in batch_of(stopped)


def test_in_gradients_of_a_finite_loss(fit, monkeypatch, tmp_path):
    loss, calls = PPO.loss, []

    def steep(self, policy, batch, reference=None):
        calls.append(batch)
        value, metrics = loss(self, policy, batch, reference)
        # A root has no slope at 0.
        return value + (0 * policy.critic.weight).sqrt().sum() if len(calls) > 3 else value, metrics

    monkeypatch.setattr(PPO, "loss", steep)
    with pytest.raises(NotFiniteError, match=r"in policy.critic.weight \(epoch 1, step 3\)") as stopped:
        fit(trainer_arguments={"enable_checkpointing": True})
    assert torch.equal(batch_of(stopped)["tokens"], calls[-1].tokens)
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert str(stopped.value).endswith(f"The last good checkpoint is {checkpoint}")


@pytest.mark.parametrize(
    ("bound", "algorithm", "clipped"),
    [(None, None, [3.0, -4.0]), (10.0, "norm", [3.0, -4.0]), (1.0, "norm", [0.6, -0.8]), (3.5, "value", [3.0, -3.5])],
)
def test_gradients_are_clipped_as_the_trainer_says(bound, algorithm, clipped):
    module = LightningModule()
    module.weight = torch.nn.Parameter(torch.zeros(2))
    module.weight.grad = torch.tensor([3.0, -4.0])
    module.trainer = Trainer(gradient_clip_val=bound, gradient_clip_algorithm=algorithm, logger=False)
    optimizer = torch.optim.SGD([module.weight], lr=1.0)
    assert clip_gradients(module, optimizer, bound, algorithm, torch.tensor(1.0), None) == 5
    torch.testing.assert_close(module.weight.grad, torch.tensor(clipped))
