"""``feat2go evaluate --suite``: every setting once, the table, and going on behind what is done."""

import pytest
import torch
from torch import nn

from feat2go.cli import evaluate as module
from feat2go.cli.main import main
from feat2go.core import PolicyOutput
from feat2go.core.suites import SuiteSetting
from feat2go.envs.tabletop.env import Tabletop
from feat2go.registry import SUITES
from feat2go.rollouts.evaluation import read_metadata, read_table


class Still(nn.Module):
    """Does nothing, four actions at a time."""

    chunk, action_dim = 4, 7

    def preprocess(self, images, instructions, state=None):
        return {"rows": torch.zeros(len(instructions))}

    def act(self, *, temperature=1.0, generator=None, rows):
        zeros = torch.zeros(len(rows), 28)
        return PolicyOutput(zeros.reshape(-1, 4, 7), zeros.long(), zeros, zeros[:, 0])


class Crowds:
    """The tabletop with fewer and more objects."""

    name = "crowds"
    env = "tabletop"
    settings = (
        SuiteSetting("alone", "ID", {"num_distractors": 0}),
        SuiteSetting("crowded", "Semantic", {"num_distractors": 3}),
    )


@pytest.fixture
def started(monkeypatch):
    """The environments that were made, and a command line that knows the suite."""
    made = []

    class Noted(Tabletop):
        def __init__(self, num_distractors: int = 1, num_envs: int = 2) -> None:
            super().__init__(num_envs=num_envs, image_size=32, max_episode_steps=8, num_distractors=num_distractors)
            made.append(num_distractors)

    monkeypatch.setattr(SUITES, "_entries", dict(SUITES._entries))
    SUITES.register("crowds")(Crowds)
    monkeypatch.setattr(module, "load_policy", lambda checkpoint: Still())
    monkeypatch.setattr(module.ENVS, "get", lambda name: Noted)
    return made


def run(output, *more):
    main(["evaluate", "--suite=crowds", "--checkpoint=x", f"--output={output}", "--episodes=3", *more])


def test_every_setting_is_run_once_and_the_table_names_its_category(started, tmp_path, capsys):
    run(tmp_path, "--num_videos=0")
    assert started == [0, 3]
    printed = capsys.readouterr().out
    names = [line.split()[0] for line in printed.splitlines() if "%" in line]
    assert names == ["ID", "alone", "Semantic", "crowded", "mean"]
    assert "crowds: 2 settings, each 3 episodes, seeds evaluation" in printed
    rows = read_table(tmp_path / "episodes.parquet")
    assert [(row.suite, row.setting) for row in rows] == [("crowds", "alone")] * 3 + [("crowds", "crowded")] * 3
    assert read_metadata(tmp_path / "episodes.parquet")["suite"] == "crowds"


def test_the_same_command_goes_on_behind_the_settings_that_are_done(started, tmp_path):
    run(tmp_path, "--num_videos=0")
    before = read_table(tmp_path / "episodes.parquet")
    (tmp_path / "settings" / "crowded.parquet").unlink()
    run(tmp_path, "--num_videos=0")
    assert started == [0, 3, 3]
    assert [row.success_once for row in read_table(tmp_path / "episodes.parquet")] == [r.success_once for r in before]
    # Another temperature is another evaluation.
    run(tmp_path, "--num_videos=0", "--temperature=0.5")
    assert started == [0, 3, 3, 0, 3]


def test_without_an_environment_and_a_suite_it_says_what_is_missing(started, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--checkpoint=x", f"--output={tmp_path}"])
    assert "--env or --suite" in capsys.readouterr().err
