"""Every shipped config is one that its command accepts, down to the constructors. No model is built, nothing runs."""

import os
import re
import shlex
from pathlib import Path

import pytest
from accepted import accepts

from feat2go.cli.demo import TASKS, _stages

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
# The demo's fits are the commands of the configs.
LIGHT = ("collect", "label", "evaluate")
OF_DEMO = [command for task in sorted(TASKS.values()) for _, command in _stages(task) if command[0] in LIGHT]


def header(path):
    """The comment at the top: field -> text."""
    return dict(re.findall(r"^# (\w+): +(.+)$", path.read_text(), re.MULTILINE))


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    # `seed_everything` leaves it behind.
    monkeypatch.setitem(os.environ, "PL_GLOBAL_SEED", "0")


def test_there_are_some():
    assert len(CONFIGS) >= 12


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_says_what_it_is_and_its_command_accepts_it(path, monkeypatch):
    fields = header(path)
    assert list(fields) == ["What", "Command", "Hardware", "Expected"]
    words = shlex.split(fields["Command"])
    assert words[0] == "feat2go"
    assert f"configs/{path.name}" in words
    accepts(words[1:], monkeypatch)


@pytest.mark.parametrize("command", OF_DEMO, ids=shlex.join)
def test_the_commands_of_the_demo_are_accepted(command, monkeypatch):
    accepts(command, monkeypatch)
