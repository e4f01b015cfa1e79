"""Processes that take different numbers of forward passes, and one that has nothing to learn from.

What rank 0 logged is written to metrics.json, and the seeds that each process evaluated. Then a policy and a value
model are validated with demonstrations that can't be shared out evenly.
"""

import dataclasses
import json
import os
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Trainer, seed_everything

from feat2go.algorithms.bc import BC
from feat2go.algorithms.grpo import GRPO
from feat2go.core.distributed import gather
from feat2go.core.seeding import split_of
from feat2go.encoders.baselines import PixelPatches
from feat2go.envs.tabletop.env import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rewards import Sparse
from feat2go.training.demonstration_data import DemonstrationDataModule
from feat2go.training.policy_module import PolicyModule
from feat2go.training.rollout_data import RolloutDataModule
from feat2go.training.strategies import register_strategies
from feat2go.training.value_data import ValueDataModule
from feat2go.training.value_module import ValueModule
from feat2go.values import SmallValue

RANK, WORLD_SIZE = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
FOLDER = Path(SETTINGS["folder"])  # noqa: F821
NUM_EVAL_EPISODES = 5


class Thirds(Tabletop):
    """An episode succeeds with its last action if its seed is divisible by three. Those of rank 1 are longer."""

    evaluated = []  # noqa: RUF012

    def __init__(self):
        super().__init__(num_envs=2, image_size=32, num_distractors=0, max_episode_steps=3 + 2 * RANK)

    def reset(self, seeds):
        self.evaluated += [seed for seed in seeds if split_of(seed) == "development"]
        self.waves = list(seeds)
        return super().reset(seeds)

    def step(self, actions, next_seeds=None):
        step = super().step(actions, next_seeds)
        is_third = torch.tensor([seed % 3 == 0 for seed in self.waves])
        return dataclasses.replace(step, success=step.truncated & is_third[:, None])


class Forgetful(GRPO):
    """In the second iteration, rank 1 drops all it has collected."""

    num_calls = 0

    def prepare(self, rollout):
        self.num_calls += 1
        batch = super().prepare(rollout)
        return batch.select(torch.arange(0)) if RANK == 1 and self.num_calls == 2 else batch


class Unequal(Sparse):
    def __call__(self, success, terminal_value):
        return torch.arange(len(success), dtype=torch.float32)


def make_trainer(strategy):
    return Trainer(
        accelerator="cpu", devices=WORLD_SIZE, strategy=strategy if WORLD_SIZE > 1 else "auto", max_epochs=3,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, default_root_dir=FOLDER,
    )  # fmt: skip


def validated(module, data, strategy):
    (metrics,) = make_trainer(strategy).validate(module, data, verbose=False)
    return metrics


register_strategies()
seed_everything(0)
adam = partial(torch.optim.Adam, lr=1e-3)
data = RolloutDataModule(
    Thirds, Unequal(), num_episodes=4, group_size=2, num_minibatches=3, num_eval_episodes=NUM_EVAL_EPISODES
)
module = PolicyModule(partial(TinyVLA, image_size=32, width=16), Forgetful(), adam, max_ratio_error=9.0)
trainer = make_trainer("fsdp2")
trainer.fit(module, data)
logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
played = gather(Thirds.evaluated)

seed_everything(0)
episodes, labels = SETTINGS["episodes"], SETTINGS["labels"]  # noqa: F821
cloning = validated(
    PolicyModule(partial(TinyVLA, image_size=32, width=16, chunk=2), BC(), adam),
    DemonstrationDataModule([episodes], batch_size=2, validation_share=0.9),
    "fsdp2",
)
seed_everything(0)
network = partial(SmallValue, encoder=partial(PixelPatches, image_size=16, patch_size=4), num_bins=21, width=32)
value = validated(ValueModule(network, adam), ValueDataModule([episodes], [labels]), "ddp")

if RANK == 0:
    content = {"logged": logged, "played": played, "global_step": trainer.global_step}
    (FOLDER / "metrics.json").write_text(json.dumps({**content, "cloning": cloning, "value": value}))
