from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from feat2go.algorithms import PPO
from feat2go.envs.tabletop.env import Tabletop
from feat2go.policies import TinyVLA
from feat2go.training.policy_module import PolicyModule
from feat2go.training.rollout_data import RolloutDataModule


class SharpPolicy(TinyVLA):
    """A policy that has made up its mind: at its start, TinyVLA gives all actions nearly the same probability."""

    def __init__(self, sharpness=3000.0, dropout=0.0):
        super().__init__(state_dim=6, image_size=32, width=32)
        with torch.no_grad():
            self.actor.weight.mul_(sharpness)
        self.trunk.append(torch.nn.Dropout(dropout))
        self.acted = []

    def act(self, **arguments):
        self.acted.append((self.training, torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        return super().act(**arguments)


class Unequal:
    """Every episode that ends is worth something else, so that there is something to learn."""

    needs_value, replaces_bootstrap = False, False

    def __call__(self, success, terminal_value):
        return torch.arange(len(success), dtype=torch.float32)


class WatchedPPO(PPO):
    """Keeps the metrics of every loss, and the modes of the policies that it is given."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.metrics, self.modes = [], []

    def loss(self, policy, batch, reference=None):
        loss, metrics = super().loss(policy, batch, reference)
        self.metrics.append({name: float(value) for name, value in metrics.items()})
        self.modes.append((policy.training, reference is not None and reference.training))
        return loss, metrics


@pytest.fixture
def make_data():
    def make(max_episode_steps=4, **arguments):
        env = partial(Tabletop, num_envs=4, image_size=32, num_distractors=0, max_episode_steps=max_episode_steps)
        settings = {"num_steps": 4, "num_minibatches": 2, "num_eval_episodes": 4, **arguments}
        return RolloutDataModule(env, Unequal(), **settings)

    return make


@pytest.fixture
def fit(make_data, tmp_path):
    """A function that fits a policy to rollouts in the tabletop and gives the module and the data module."""

    def run(dropout=0.0, data=None, trainer_arguments=None, **algorithm):
        seed_everything(0)
        module = PolicyModule(
            partial(SharpPolicy, dropout=dropout), WatchedPPO(**algorithm), partial(torch.optim.Adam, lr=3e-4)
        )
        data = data or make_data()
        trainer = Trainer(
            **{
                **{"accelerator": "cpu", "devices": 1, "max_epochs": 2, "num_sanity_val_steps": 0, "logger": False},
                **{"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False},
                **{"limit_val_batches": 0, "default_root_dir": tmp_path, **(trainer_arguments or {})},
            }
        )
        trainer.fit(module, data)
        return module, data

    return run
