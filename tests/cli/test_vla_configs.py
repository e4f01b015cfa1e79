"""The ``*_tiny.yaml`` of OpenVLA and OpenVLA-OFT from the command line: fit, save, resume, evaluate. And pi0."""

import csv
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from checkpoints import make_openvla
from policies.tiny_pi0 import write_tiny_pi0
from values.make_tiny_vlm import make_tiny_vlm

from feat2go.cli.main import main
from feat2go.envs.tabletop.env import Tabletop
from feat2go.policies import load_policy
from feat2go.rollouts.demonstrations import collect
from feat2go.values import FrozenValue, Qwen3VLValue

CONFIGS = Path(__file__).parents[2] / "configs"
RL = ["ppo_openvla", "ppo_openvla_oft", "grpo_openvla", "grpo_openvla_oft"]
TABLETOP = ["--env=tabletop", "--env.num_envs=2", "--env.image_size=32", "--env.max_episode_steps=4"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_openvla(tmp_path_factory.mktemp("openvla"))


@pytest.fixture(scope="module")
def value_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("value")
    vlm = make_tiny_vlm("qwen3_vl", folder / "vlm")
    factory = partial(Qwen3VLValue, model=str(vlm), head_width=8)
    torch.manual_seed(0)
    FrozenValue(factory(), factory, {}).save(folder / "value")
    return folder / "value"


def fit(config, run_dir, *words):
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
    main(["fit", "--config", str(config), f"--run_dir={run_dir}", *quiet, *map(str, words)])


def evaluate(path, output, *env):
    main(["evaluate", f"--checkpoint={path}", f"--output={output}", "--episodes=2", "--num_videos=0", *env])


def epochs(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["rollout/env_steps"]]


def require_learned(run_dir, checkpoint, name):
    """The policy of a run is its last checkpoint, adapters are saved alone, and something has changed."""
    policy = load_policy(run_dir)
    assert type(policy).registered_name == name
    state = policy.state_dict()
    for key, tensor in load_policy(run_dir / "checkpoints" / "last.ckpt").state_dict().items():
        assert torch.equal(tensor, state[key])
    stored = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    if not policy.restores_frozen:
        assert (run_dir / "policy" / "model.safetensors").is_file()
        return
    assert not (run_dir / "policy" / "model.safetensors").exists()
    assert all(".lora_" in key or "policy.critic." in key for key in stored)
    assert any(tensor.any() for key, tensor in stored.items() if ".lora_B." in key)


@pytest.mark.parametrize("name", RL)
def test_reinforcement_learning_under_a_vision_language_value(name, checkpoint, value_model, tmp_path, capsys):
    config, run_dir = CONFIGS / f"{name}_tiny.yaml", tmp_path / "run"
    words = [f"--model.policy.checkpoint={checkpoint}", f"--data.value_model={value_model}"]
    fit(config, run_dir, *words, "--trainer.max_epochs=1")
    fit(config, run_dir, *words, "--trainer.max_epochs=2", "--ckpt_path=last")
    rows = epochs(run_dir)
    assert [int(row["epoch"]) for row in rows] == [0, 1]
    assert all(float(row["train/first_ratio"]) == pytest.approx(1, abs=1e-5) for row in rows)
    require_learned(run_dir, checkpoint, name.partition("_")[2])
    capsys.readouterr()
    evaluate(run_dir, tmp_path / "evaluation", *TABLETOP, f"--value_model={value_model}")
    assert "tabletop: 2 episodes" in capsys.readouterr().out


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    env = Tabletop(num_envs=2, image_size=32, num_distractors=0)
    folder = tmp_path_factory.mktemp("data") / "demonstrations"
    collect(env, folder, num_episodes=2, progress=False)
    return folder


def test_behaviour_cloning(checkpoint, demonstrations, tmp_path):
    config = CONFIGS / "bc_openvla_oft_tiny.yaml"
    words = [f"--model.policy.checkpoint={checkpoint}", f"--data.dataset=[{demonstrations}]", "--data.num_batches=2"]
    fit(config, tmp_path / "run", *words, "--trainer.max_epochs=1")
    fit(config, tmp_path / "run", *words, "--trainer.max_epochs=2", "--ckpt_path=last")
    require_learned(tmp_path / "run", checkpoint, "openvla_oft")
    evaluate(tmp_path / "run", tmp_path / "evaluation", *TABLETOP)


def test_pi0_is_cloned_and_evaluated(demonstrations, tmp_path, capsys):
    pi0 = write_tiny_pi0(tmp_path / "pi0")
    policy = {"class_path": "hf_pi0", "init_args": {"path": str(pi0), "chunk": 2, "state_dim": 6}}
    config = yaml.safe_load((CONFIGS / "bc_openvla_oft_tiny.yaml").read_text())
    config["model"]["init_args"]["policy"] = policy
    config["data"]["init_args"] |= {"dataset": [str(demonstrations)], "num_batches": 2}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    fit(tmp_path / "config.yaml", tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        losses = [float(row["train/cloning_loss"]) for row in csv.DictReader(file) if row["train/cloning_loss"]]
    assert len(losses) == 2
    capsys.readouterr()
    evaluate(tmp_path / "run", tmp_path / "evaluation", *TABLETOP)
    assert "tabletop: 2 episodes" in capsys.readouterr().out


@pytest.mark.vulkan
@pytest.mark.parametrize("name", RL)
def test_on_maniskill(name, checkpoint, value_model, tmp_path):
    config = yaml.safe_load((CONFIGS / f"{name}_tiny.yaml").read_text())
    arguments = {"task": "PushCube-v1", "num_envs": 2, "num_workers": 1, "image_size": 32, "max_episode_steps": 4}
    config["data"]["init_args"]["env"] = {"class_path": "maniskill", "init_args": arguments}
    config["model"]["init_args"]["policy"]["init_args"]["checkpoint"] = str(checkpoint)
    config["data"]["init_args"]["value_model"] = str(value_model)
    written = tmp_path / "config.yaml"
    written.write_text(yaml.safe_dump(config))
    run_dir = tmp_path / "run"
    # Validation would start a second simulation; the tabletop's test has it.
    fit(written, run_dir, "--trainer.max_epochs=1", "--trainer.limit_val_batches=0")
    fit(written, run_dir, "--trainer.max_epochs=2", "--trainer.limit_val_batches=0", "--ckpt_path=last")
    assert [int(row["epoch"]) for row in epochs(run_dir)] == [0, 1]
    require_learned(run_dir, checkpoint, name.partition("_")[2])
    env = ["--env=maniskill", *(f"--env.{key}={value}" for key, value in arguments.items())]
    evaluate(run_dir, tmp_path / "evaluation", *env)
