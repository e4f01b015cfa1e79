"""A third party adds an encoder, a clustering strategy and an algorithm without touching feat2go."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from feat2go.cli.expand import expand
from feat2go.registry import ALGORITHMS, CLUSTERING, ENCODERS

PACKAGE = Path(__file__).parent / "feat2go_example"
NAMES = {"encoders": "patch_colours", "clustering": "largest_change", "algorithms": "plain_gradient"}

ENV = {
    "class_path": "tabletop",
    "init_args": {"num_envs": 2, "image_size": 32, "num_distractors": 0, "workspace": 0.3, "max_episode_steps": 20},
}
ENCODER = {"class_path": "patch_colours", "init_args": {"grid": 3}}
CLUSTER = {"class_path": "largest_change", "init_args": {"num_stages": 4}}
FULL_ENCODER = {**ENCODER, "class_path": "feat2go_example.encoder.PatchColours"}
FULL_CLUSTER = {**CLUSTER, "class_path": "feat2go_example.clustering.LargestChange"}
CONFIGS = {
    "collect": {"env": ENV, "output": "episodes", "num_episodes": 2},
    "name": {"encoder": "patch_colours", "clustering": "largest_change"},
    "arguments": {"encoder": ENCODER, "clustering": CLUSTER},
    "full": {"encoder": FULL_ENCODER, "clustering": FULL_CLUSTER},
    "fit": {
        "run_dir": "run",
        "trainer": {"accelerator": "cpu", "max_epochs": 1, "limit_val_batches": 0, "enable_progress_bar": False},
        "model": {
            "class_path": "feat2go.training.policy_module.PolicyModule",
            "init_args": {
                "policy": {"class_path": "tiny_vla", "init_args": {"state_dim": 6, "image_size": 32, "width": 16}},
                "algorithm": "plain_gradient",
                "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01}},
            },
        },
        "data": {
            "class_path": "feat2go.training.rollout_data.RolloutDataModule",
            "init_args": {"env": ENV, "reward": "sparse", "num_steps": 4, "num_minibatches": 1},
        },
    },
}
COMMANDS = """
import sys
import torch
torch.set_num_threads(1)
from feat2go.cli.main import main
main(["collect", "--config", "collect.yaml"])
for spelling in ("name", "arguments", "full"):
    main(["label", "episodes", "--config", spelling + ".yaml", "--output", spelling + ".parquet"])
main(["fit", "--config", "fit.yaml"])
import pytest
raise SystemExit(pytest.main(["-p", "no:cacheprovider", "-q", "-k", "largest_change", sys.argv[1]]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a process that finds the plug-in, as pip installs it, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("plugin")
    # A copy: building leaves files beside the source.
    source = shutil.copytree(PACKAGE, folder / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, *offline, "--target", str(folder / "site"), str(source)], check=True)
    return {**os.environ, "PYTHONPATH": str(folder / "site"), "FEAT2GO_HOME": str(folder / "home")}


def python(environment, folder, *words):
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_plug_in_is_listed(environment, tmp_path):
    printed = python(environment, tmp_path, "-m", "feat2go.cli.main", "list")
    for slot, name in NAMES.items():
        section = printed.partition(f"{slot}:\n")[2].partition(":\n")[0]
        assert re.search(rf"^  {name} +plug-in from feat2go-example 0.1.0$", section, re.MULTILINE)


def test_an_installed_plug_in_runs(environment, tmp_path):
    """Encoder and clustering to labels, in all three spellings; the algorithm to an update; the contract's tests."""
    from feat2go.progress import read_labels

    for name, config in CONFIGS.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
    contract = Path(__file__).parents[1] / "contract" / "test_clustering.py"
    python(environment, tmp_path, "-c", COMMANDS, str(contract))

    labels = {spelling: read_labels(tmp_path / f"{spelling}.parquet") for spelling in ("name", "arguments", "full")}
    assert labels["name"].keys() == labels["full"].keys()
    assert len(labels["name"]) == 2
    for uid, track in labels["full"].items():
        # The defaults for the bare name, the given arguments for the others.
        assert len(labels["name"][uid].stage.unique()) == 3
        assert len(track.stage.unique()) == 4
        torch.testing.assert_close(labels["arguments"][uid].target, track.target, rtol=0, atol=0)

    algorithm = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["init_args"]["algorithm"]
    assert algorithm["class_path"] == "feat2go_example.algorithm.PlainGradient"
    assert algorithm["init_args"] == {"gamma": 0.99, "temperature": 1.0}
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["train/actor_loss"], "the plug-in's own metrics are logged"
    assert (tmp_path / "run" / "policy" / "model.safetensors").is_file()


class Mine:
    """Does nothing."""


@pytest.mark.parametrize("registry", [ENCODERS, CLUSTERING, ALGORITHMS], ids=lambda registry: registry.slot)
def test_a_name_by_decorator(registry, monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    assert registry.register("mine")(Mine) is Mine
    assert registry.names("m*").count("mine") == 1
    assert registry.entry("mine").summary == "Does nothing."
    assert registry.get("mine") is Mine
    assert expand({registry.noun: "mine"}) == {registry.noun: {"class_path": f"{__name__}.Mine"}}
