"""``feat2go fit``: what a run leaves, how it goes on, and what it says when it can't. See docs/traps.md."""

import csv
import shutil

import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.profilers import SimpleProfiler
from safetensors.torch import load_file

from feat2go.cli.main import main
from feat2go.cli.training import TrainingCLI
from feat2go.policies import load_policy
from feat2go.registry import POLICIES
from feat2go.training import PolicyModule
from feat2go.training.unprofiled import Unprofiled

UPDATES_PER_EPOCH = 2
STEPS_PER_EPOCH = 8


def rows(run_dir, column="rollout/env_steps"):
    """The rows of metrics.csv that have a value in ``column``."""
    with (run_dir / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row[column]]


def optimizer_settings(run_dir):
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["optimizer_states"][0]["param_groups"][0]


def printed_config(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["fit", *map(str, words), "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.fixture(scope="module")
def finished(write_config, tmp_path_factory):
    """A run of two epochs. Tests that go on with it use the copy of :func:`run_dir`."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["feat2go"])
        main(["fit", "--config", str(write_config(folder, folder / "run"))])
    return folder / "run"


@pytest.fixture
def run_dir(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def config(write_config, run_dir, tmp_path):
    return write_config(tmp_path, run_dir)


def test_a_run_leaves_a_config_in_full_a_log_a_checkpoint_and_the_policy(finished):
    saved = yaml.safe_load((finished / "config.yaml").read_text())
    init_args = saved["model"]["init_args"]
    assert init_args["policy"]["class_path"] == "feat2go.policies.TinyVLA"
    assert init_args["algorithm"]["class_path"] == "feat2go.algorithms.ppo.PPO"
    assert init_args["algorithm"]["init_args"]["clip_high"] == 0.28
    assert saved["data"]["init_args"]["reward"]["class_path"] == "feat2go.rewards.terminal.Sparse"

    epochs = rows(finished)
    assert [int(row["epoch"]) for row in epochs] == [0, 1]
    assert [float(row["rollout/env_steps"]) for row in epochs] == [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH]
    assert all(float(row["train/first_ratio"]) == pytest.approx(1, abs=1e-5) for row in epochs)
    assert len(rows(finished, "val/success_once")) == 2
    assert list(finished.glob("events.out.tfevents.*"))

    state = load_policy(finished).state_dict()
    for name, tensor in load_policy(finished / "checkpoints" / "last.ckpt").state_dict().items():
        assert torch.equal(tensor, state[name])


def test_checkpoints_are_those_of_whole_epochs_and_hold_no_pickles(finished):
    for path in (finished / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint["global_step"] == 2 * UPDATES_PER_EPOCH
        assert checkpoint["policy_config"]["model_type"] == "tiny_vla"
        (process,) = checkpoint["RolloutDataModule"]["processes"]
        assert (process["num_seeds"], process["num_env_steps"]) == (8, 2 * STEPS_PER_EPOCH)
    assert len(list((finished / "checkpoints").glob("*.ckpt"))) == 2  # the latest epoch's, and last.ckpt


def test_a_saved_config_runs_again_and_takes_short_names(finished, capsys):
    again = printed_config(capsys, "--config", finished / "config.yaml", "--model.policy=tiny_vla")
    assert again["model"]["init_args"]["policy"]["init_args"]["width"] == 16


def test_defaults_that_a_rollout_needs(config, capsys):
    printed = printed_config(capsys, "--config", config)
    assert printed["trainer"]["num_sanity_val_steps"] == 0
    assert not {"optimizer", "lr_scheduler"} & set(printed), "a second way to set the optimiser"


@pytest.mark.parametrize(("words", "profiler"), [([], Unprofiled), (["--trainer.profiler=simple"], SimpleProfiler)])
def test_nothing_is_profiled_unless_it_is_asked_for(config, monkeypatch, words, profiler):
    profilers = []
    monkeypatch.setattr(PolicyModule, "on_fit_start", lambda self: profilers.append(type(self.trainer.profiler)))
    main(["fit", "--config", str(config), "--trainer.max_epochs=1", *words])
    assert profilers == [profiler]


def test_resuming_goes_on_with_epochs_steps_and_log(config, run_dir):
    policy = load_policy(run_dir)
    main(["fit", "--config", str(config), "--ckpt_path", "last", "--trainer.max_epochs=3"])
    epochs = rows(run_dir)
    assert [int(row["epoch"]) for row in epochs] == [0, 1, 2]
    assert [float(row["rollout/env_steps"]) for row in epochs] == [STEPS_PER_EPOCH * n for n in (1, 2, 3)]
    assert [int(row["step"]) for row in epochs] == [UPDATES_PER_EPOCH * n - 1 for n in (1, 2, 3)]
    assert yaml.safe_load((run_dir / "config.yaml").read_text())["trainer"]["max_epochs"] == 3
    # The same episodes go on: none was drawn but the one more for each of the two that ended.
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    (process,) = checkpoint["RolloutDataModule"]["processes"]
    assert (process["num_seeds"], process["num_env_steps"]) == (8 + 2, 3 * STEPS_PER_EPOCH)
    # It went on from there: two Adam steps of 3e-4 don't move a weight further than this.
    for before, after in zip(policy.state_dict().values(), load_policy(run_dir).state_dict().values(), strict=True):
        assert (before - after).abs().max() < 1e-2


def test_a_fit_that_does_not_resume_starts_its_log_and_its_checkpoints_anew(config, run_dir):
    main(["fit", "--config", str(config), "--trainer.max_epochs=1"])
    assert [int(row["epoch"]) for row in rows(run_dir)] == [0]
    assert torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    assert not list(run_dir.glob("checkpoints/last-*"))


@pytest.fixture
def learning_rates(monkeypatch):
    """Of the optimiser, at every step."""
    seen = []
    step = torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    return seen


def test_the_learning_rate_of_the_command_line_wins_over_the_checkpoints(config, run_dir, learning_rates):
    words = ["--ckpt_path=last", "--trainer.max_epochs=3", "--model.optimizer.lr=0.125"]
    main(["fit", "--config", str(config), *words])
    assert learning_rates == [0.125] * UPDATES_PER_EPOCH


def test_a_schedule_goes_on_where_it_was(write_config, tmp_path, learning_rates):
    halve = {"class_path": "torch.optim.lr_scheduler.ExponentialLR", "init_args": {"gamma": 0.5}}
    config = write_config(tmp_path, tmp_path / "run", model__init_args__lr_scheduler=halve, trainer__max_epochs=1)
    main(["fit", "--config", str(config)])
    main(["fit", "--config", str(config), "--ckpt_path=last", "--trainer.max_epochs=3"])
    assert learning_rates == pytest.approx([3e-4] * 2 + [1.5e-4] * 2 + [0.75e-4] * 2)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_checkpoints_hyperparameters_do_not_override_the_config(config, run_dir, monkeypatch, guarded):
    last = run_dir / "checkpoints" / "last.ckpt"
    # As a third party's module that calls save_hyperparameters would leave them.
    hyper_parameters = {"_class_path": "feat2go.training.policy_module.PolicyModule", "max_ratio_error": 0.5}
    torch.save({**torch.load(last, weights_only=True), "hyper_parameters": hyper_parameters}, last)
    if not guarded:
        monkeypatch.setattr(TrainingCLI, "_parse_ckpt_path", LightningCLI._parse_ckpt_path)
    main(["fit", "--config", str(config), f"--ckpt_path={last}"])
    used = yaml.safe_load((run_dir / "config.yaml").read_text())["model"]["init_args"]["max_ratio_error"]
    assert used == (0.05 if guarded else 0.5)


def test_weights_in_half_precision_leave_the_records_alone(write_config, tmp_path):
    config = write_config(tmp_path, tmp_path / "run")
    main(["fit", "--config", str(config), "--trainer.precision=bf16-true"])
    assert all(float(row["train/first_ratio_error"]) < 1e-3 for row in rows(tmp_path / "run"))
    saved = load_file(tmp_path / "run" / "policy" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}


def test_testing_leaves_the_record_of_the_training_alone(config, run_dir, capsys):
    kept = {name: (run_dir / name).read_bytes() for name in ("config.yaml", "metrics.csv")}
    main(["test", "--config", str(config), "--ckpt_path=last"])
    assert "test/success_once" in capsys.readouterr().out
    assert {name: (run_dir / name).read_bytes() for name in kept} == kept
    assert len(list(run_dir.glob("events.out.tfevents.*"))) == 1


def one_sentence(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 1
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("feat2go: ")]
    assert len(printed) == 1
    return printed[0].removeprefix("feat2go: ")


def test_an_unknown_name_is_one_sentence(config, capsys):
    message = one_sentence(capsys, ["fit", "--config", config, "--model.policy=tiny_vlaa"])
    assert message == (
        f"unknown policy 'tiny_vlaa'. Did you mean 'tiny_vla'? Known: {', '.join(POLICIES.names())}. "
        "Or give a full class_path."
    )


def test_a_missing_value_model_is_one_sentence(write_config, tmp_path, capsys):
    without = write_config(tmp_path, tmp_path / "run", data__init_args__reward="terminal_value")
    assert "TerminalValue needs a value model: set data.value_model" in one_sentence(capsys, ["fit", "-c", without])
    missing = one_sentence(capsys, ["fit", "-c", without, f"--data.value_model={tmp_path / 'value'}"])
    assert missing.startswith(f"{tmp_path / 'value'} holds no value model: config.json is missing.")


def test_a_policy_that_does_not_fit_the_environment_is_one_sentence(config, capsys):
    message = one_sentence(capsys, ["fit", "--config", config, "--model.policy.action_dim=3"])
    assert message == (
        "the policy has action_dim 3, the environment tabletop has 7: set model.policy.init_args.action_dim"
    )


def test_a_missing_dataset_is_one_sentence(write_config, tmp_path, capsys):
    module = "feat2go.training.demonstration_data.DemonstrationDataModule"
    data = {"class_path": module, "init_args": {"dataset": [str(tmp_path / "nowhere")]}}
    config = write_config(tmp_path, tmp_path / "run", data=data, model__init_args__algorithm="bc")
    assert str(tmp_path / "nowhere") in one_sentence(capsys, ["fit", "--config", config])
