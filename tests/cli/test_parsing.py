"""One layer of a configuration may not change a class that another has given arguments (docs/traps.md)."""

import pytest
import yaml

from feat2go.cli.parsing import read_argv, run_function

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
MODULE = "feat2go.training.policy_module.PolicyModule"


@pytest.fixture
def config(tmp_path):
    """A function that writes a config with an optimiser and gives its path."""

    def write(name, optimizer):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"model": {"class_path": MODULE, "init_args": {"optimizer": optimizer}}}))
        return str(path)

    return write


@pytest.mark.parametrize("option", ["--config", "-c"])
@pytest.mark.parametrize("over", [{"class_path": "torch.optim.SGD"}, "torch.optim.SGD", {**ADAM, "class_path": "SGD"}])
def test_a_second_config_may_not_change_a_class_with_arguments(config, option, over):
    base, second = config("base", ADAM), config("second", over)
    with pytest.raises(ValueError, match="would leak") as error:
        read_argv(["--config", base, option, second])
    assert str(error.value).startswith(f"{second} makes model.optimizer a ")
    assert "an earlier config makes it a torch.optim.Adam with arguments" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--model.optimizer=torch.optim.SGD"],
        ["--model.optimizer", "torch.optim.SGD"],
        ["--model.optimizer=SGD"],
        ["--model.init_args.optimizer.class_path=torch.optim.SGD"],
        ["--model.optimizer", '{"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}'],
    ],
)
def test_nor_may_the_command_line(config, words):
    with pytest.raises(ValueError, match=r"^--model\S*optimizer\S* makes model.optimizer a .*would leak"):
        read_argv([f"--config={config('base', ADAM)}", *words])


@pytest.mark.parametrize(
    "words",
    [
        ["--model.optimizer=torch.optim.Adam"],
        ["--model.optimizer=Adam"],
        ["--model.optimizer=torch.optim.adam.Adam"],
        ["--model.optimizer.lr=0.5"],
        ["--model.optimizer=null"],
    ],
)
def test_the_same_class_its_arguments_and_none_at_all_may_be_given(config, words):
    assert read_argv([f"--config={config('base', ADAM)}", *words])[1:] == words


def test_a_class_without_arguments_may_be_changed(config):
    read_argv(["--config", config("base", "torch.optim.Adam"), "--config", config("second", ADAM)])
    read_argv(["--config", config("base", "torch.optim.Adam"), "--model.optimizer=torch.optim.SGD"])


def test_names_of_registries_are_classes_too(tmp_path):
    (tmp_path / "base.yaml").write_text("clustering: {class_path: uniform, init_args: {num_stages: 3}}")
    base = f"--config={tmp_path / 'base.yaml'}"
    with pytest.raises(ValueError, match=r"makes clustering a feat2go.clustering.trend.Trend, but .*fixed.Uniform"):
        read_argv([base, "--clustering=trend"])
    # The path that a saved config has for the same class.
    assert len(read_argv([base, "--clustering=feat2go.clustering.Uniform"])) == 2


def test_options_are_not_guessed_from_their_beginning(tmp_path, capsys):
    """``--conf`` would get past the check above."""
    (tmp_path / "base.yaml").write_text("number: 3")

    def double(number: int = 1) -> int:
        return 2 * number

    assert run_function(double, ["double", "--config", str(tmp_path / "base.yaml")]) == 6
    with pytest.raises(SystemExit):
        run_function(double, ["double", "--conf", str(tmp_path / "base.yaml")])
    assert "--conf" in capsys.readouterr().err
