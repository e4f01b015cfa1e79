"""Every combination of algorithm, policy and strategy on the same global batches; the parameters in the end.

Each process plays all episodes and learns from its share of the environments.
"""

import dataclasses
import os
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Trainer, seed_everything

from feat2go.algorithms.grpo import GRPO
from feat2go.algorithms.ppo import PPO
from feat2go.envs.tabletop.env import Tabletop
from feat2go.policies import TinyVLA
from feat2go.training.policy_module import PolicyModule
from feat2go.training.rollout_data import RolloutDataModule
from feat2go.training.strategies import full_state, register_strategies

NUM_ENVS = 4
RANK, WORLD_SIZE = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
FOLDER = Path(SETTINGS["folder"])  # noqa: F821


def share_of(rollout):
    """The environments of this process."""
    columns = torch.arange(NUM_ENVS).chunk(WORLD_SIZE)[RANK]
    rows = (torch.arange(len(rollout.tokens))[:, None] * NUM_ENVS + columns).flatten()
    is_mine = torch.isin(rollout.final_index[:, 1], columns)
    special = {
        "observation": rollout.observation.select(rows),
        "final_index": rollout.final_index[is_mine] - torch.tensor([0, int(columns[0])]),
        "final_observation": rollout.final_observation.select(is_mine),
        "last_observation": rollout.last_observation.select(columns),
        "last_value": rollout.last_value[columns],
    }
    names = {field.name for field in dataclasses.fields(rollout)} - set(special)
    others = {name: getattr(rollout, name) for name in names}
    return type(rollout)(**special, **{k: None if v is None else v[:, columns] for k, v in others.items()})


class SharedPPO(PPO):
    def prepare(self, rollout):
        return super().prepare(share_of(rollout))


class SharedGRPO(GRPO):
    def prepare(self, rollout):
        return super().prepare(share_of(rollout))


class Unequal:
    """Every episode is worth something else, so that there is something to learn."""

    needs_value, replaces_bootstrap = False, False

    def __call__(self, success, terminal_value):
        return torch.arange(len(success), dtype=torch.float32)


class SameRollouts(RolloutDataModule):
    """Every process plays the episodes of a single one, with its noise."""

    def _world(self):
        return 0, 1


def make_policy(name):
    if name == "tiny_vla":
        return TinyVLA(chunk=2, image_size=32, width=16)
    from feat2go.policies.openvla import OpenVLAOFT

    checkpoint = SETTINGS["openvla_oft"]  # noqa: F821
    policy = OpenVLAOFT(checkpoint, chunk=2, action_dim=7, lora_rank=2, lora_exclude=["lm_head"])
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.05)
    return policy


def fit(algorithm, policy, strategy):
    seed_everything(0)
    env = partial(Tabletop, num_envs=NUM_ENVS, image_size=32, num_distractors=0, max_episode_steps=4)
    rollouts = {"num_steps": 3} if algorithm == "ppo" else {"num_episodes": NUM_ENVS, "group_size": 2}
    data = SameRollouts(env, Unequal(), num_epochs=2, num_minibatches=1, **rollouts)
    # Rounding errors are not learned from: Adam would make a step of any gradient, however small.
    optimizer = partial(torch.optim.Adam, lr=1e-3, eps=1e-4)
    module = PolicyModule(partial(make_policy, policy), {"ppo": SharedPPO, "grpo": SharedGRPO}[algorithm](), optimizer)
    start = {}
    module.on_train_start = lambda: start.update({k: v.clone() for k, v in full_state(module.policy).items()})
    module.on_fit_end = lambda: None
    Trainer(
        accelerator="cpu", devices=WORLD_SIZE, strategy=strategy, max_epochs=3, gradient_clip_val=1.0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=0, default_root_dir=FOLDER,
    ).fit(module, data)  # fmt: skip
    end = full_state(module.policy)
    if RANK == 0:
        moved = {name: end[name] - start[name] for name in end if end[name].is_floating_point()}
        torch.save({"end": end, "moved": moved}, FOLDER / f"{algorithm}-{policy}-{strategy}.pt")


register_strategies()
for algorithm in ("ppo", "grpo"):
    for policy in ("tiny_vla", "openvla_oft"):
        for strategy in ("ddp", "fsdp2") if WORLD_SIZE > 1 else ("auto",):
            fit(algorithm, policy, strategy)
