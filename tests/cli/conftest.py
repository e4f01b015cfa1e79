import copy
import sys

import pytest
import yaml

CONFIG = """
seed_everything: 0
trainer:
  accelerator: cpu
  devices: 1
  max_epochs: 2
  enable_progress_bar: false
  enable_model_summary: false
model:
  class_path: feat2go.training.policy_module.PolicyModule
  init_args:
    policy:
      class_path: tiny_vla
      init_args:
        state_dim: 6
        image_size: 32
        width: 16
    algorithm: ppo
    optimizer:
      class_path: torch.optim.Adam
      init_args:
        lr: 3.0e-4
        weight_decay: 0.0
data:
  class_path: feat2go.training.rollout_data.RolloutDataModule
  init_args:
    env:
      class_path: tabletop
      init_args:
        num_envs: 2
        image_size: 32
        num_distractors: 0
        max_episode_steps: 4
    reward: sparse
    num_steps: 4
    num_minibatches: 2
    num_eval_episodes: 2
"""


@pytest.fixture(autouse=True)
def program(monkeypatch):
    """What the shell would have set."""
    monkeypatch.setattr(sys, "argv", ["feat2go"])


@pytest.fixture(scope="module")
def write_config(tmp_path_factory):
    """A function that writes the config of a fit which takes a second, with some of its values changed."""

    def write(folder, run_dir, **changes):
        config = copy.deepcopy(yaml.safe_load(CONFIG))
        config["run_dir"] = str(run_dir)
        for dotted, value in changes.items():
            *parents, last = dotted.split("__")
            node = config
            for parent in parents:
                node = node[parent]
            node[last] = value
        path = folder / "config_of_test.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write
