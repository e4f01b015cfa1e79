"""Algorithms and rewards together, from YAML down to the constructors. Nothing runs."""

import os
from pathlib import Path

import pytest
import yaml

from feat2go import training
from feat2go.algorithms import AWR, RFTF, Reinforce
from feat2go.cli.main import main
from feat2go.cli.training import TrainingCLI
from feat2go.rewards import SRPO, Potential, RFTFDense

CONFIG = Path(__file__).parents[2] / "configs" / "grpo_tabletop.yaml"


class StopHereError(Exception):
    """The command line is fine."""


@pytest.fixture
def build(monkeypatch, tmp_path):
    """A function that gives the algorithm and the reward of a config with those two keys replaced."""

    def run(algorithm, reward):
        def stop(cli, subcommand):
            built.update(algorithm=cli.model.algorithm, reward=cli.datamodule._reward)
            raise StopHereError

        built = {}
        config = yaml.safe_load(CONFIG.read_text())
        config["model"]["init_args"]["algorithm"] = algorithm
        config["data"]["init_args"]["reward"] = reward
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        monkeypatch.setattr("sys.argv", ["feat2go"])
        monkeypatch.setitem(os.environ, "PL_GLOBAL_SEED", "0")
        monkeypatch.setattr(TrainingCLI, "_run_subcommand", stop)
        with pytest.raises(StopHereError):
            main(["fit", "--config", str(tmp_path / "config.yaml")])
        return built["algorithm"], built["reward"]

    return run


def test_rftf_as_published(build):
    algorithm, reward = build(
        {"class_path": "rftf", "init_args": {"gamma": 1.0, "success_weight": 0.5}},
        {"class_path": "rftf_dense", "init_args": {"gamma": 1.0}},
    )
    assert isinstance(algorithm, RFTF)
    assert algorithm.success_weight == 0.5
    assert isinstance(reward, RFTFDense)
    assert reward.gamma == 1.0


def test_srpo_takes_an_encoder_by_name(build):
    algorithm, reward = build(
        "reinforce",
        {"class_path": "srpo", "init_args": {"encoder": {"class_path": "pixels", "init_args": {"image_size": 32}}}},
    )
    assert isinstance(algorithm, Reinforce)
    assert isinstance(reward, SRPO)
    assert reward._make_encoder().feature_shape[0] > 0


def test_names_alone_are_enough(build):
    algorithm, reward = build("awr", "potential")
    assert isinstance(algorithm, AWR)
    assert isinstance(reward, Potential)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either data.num_steps"),
        ({"num_steps": 4, "num_episodes": 4}, "give either data.num_steps"),
        ({"num_steps": 4, "group_size": 2}, "data.group_size 2 needs whole episodes"),
    ],
)
def test_a_rollout_is_of_decisions_or_of_episodes(settings, message):
    with pytest.raises(ValueError, match=message):
        training.RolloutDataModule(lambda: None, Potential(), value_model="value", **settings)
