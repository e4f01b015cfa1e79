"""The code in docs/ runs, its commands are accepted, what it points to exists."""

import doctest
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from accepted import accepts
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser

from feat2go.cli.main import COMMANDS, main
from feat2go.registry import SLOTS

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
# Those whose commands are run, in an empty folder. Of the others they are only parsed.
RUN = ("add_algorithm", "add_clustering", "add_encoder")
OTHER_PAGES = [*(path for path in PAGES if path.stem not in RUN), ROOT / "README.md"]
PARSED = ("collect", "label", "audit", "fit", "validate", "test", "predict", "evaluate")


def page_id(path):
    return path.stem


@pytest.fixture(autouse=True)
def everything_as_it_was(monkeypatch, tmp_path):
    """Pages register names, import modules from the folder that they run in, and seed."""
    for registry in SLOTS.values():
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "argv", ["feat2go"])
    monkeypatch.setitem(os.environ, "PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


class Page:
    """Evaluates the blocks of one page in order.

    A block whose first line names a file (``# encoder.py``) is written there; other Python is executed, and so are the
    commands of a console, whose output is compared with what the page shows, ``...`` standing for anything.
    """

    def __init__(self, capsys):
        self.capsys = capsys
        self.namespace = {}

    def python(self, example):
        if not self.is_file(example):
            exec(compile(example.parsed, example.path, "exec", dont_inherit=True), self.namespace)

    def yaml(self, example):
        self.is_file(example)

    def is_file(self, example):
        name = re.match(r"# (\w+\.\w+)\n", example.parsed)
        if name:
            Path(name[1]).write_text(example.parsed)
        return bool(name)

    def console(self, example):
        for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n?)*)", example.parsed, re.MULTILINE):
            self.capsys.readouterr()
            main(feat2go_words(command))
            printed = self.capsys.readouterr().out
            same = doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
            assert same or not shown.strip(), f"{example.path}: {command} printed\n{printed}"


def feat2go_words(command):
    """The words after ``feat2go``."""
    words = shlex.split(command)
    return words[words.index("feat2go") + 1 :]


def parse(path, evaluators):
    return list(Sybil([CodeBlockParser(*pair) for pair in evaluators.items()]).parse(path).examples())


@pytest.mark.parametrize("path", [path for path in PAGES if path.stem in RUN], ids=page_id)
def test_a_page_runs_from_top_to_bottom(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = Page(capsys)
    examples = parse(path, {"python": page.python, "yaml": page.yaml, "console": page.console})
    assert len(examples) >= 4
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize("path", OTHER_PAGES, ids=page_id)
def test_python_in_other_pages_runs_too(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for example in parse(path, {"python": Page(capsys).python}):
        example.evaluate()


@pytest.mark.parametrize("path", OTHER_PAGES, ids=page_id)
def test_the_commands_of_other_pages_are_accepted(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for example in parse(path, {"console": print}):
        for command in re.findall(r"^\$ (.*\bfeat2go .+)$", example.parsed, re.MULTILINE):
            words = [word for word in feat2go_words(command) if word != "--print_config"]
            assert words[0] in COMMANDS or words[0] in ("--help", "--version"), command
            # A config on its own is the business of test_configs.py.
            is_config_alone = len(words) == 3 and words[1] == "--config"
            if words[0] not in PARSED or is_config_alone or any("help" in word for word in words):
                continue
            accepts(words, monkeypatch)


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "README.md"], ids=page_id)
def test_what_a_page_points_to_exists(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for file in re.findall(r"`((?:feat2go|tests|configs|benchmarks|docs)/[\w/.-]+)`", text):
        assert (ROOT / file).exists(), f"{path.name} names {file}"
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE), f"{path.name}: {file}::{test}"
    for file, name in re.findall(r"`(feat2go/[\w/]+\.py):([\w.]+)`", text):
        source = (ROOT / file).read_text()
        for part in name.split("."):
            defined = rf"^ *(?:def|class) {part}\b|^{part} = "
            assert re.search(defined, source, re.MULTILINE), f"{path.name} names {file}:{name}"


def test_the_figures_in_readme_and_docs_are_those_of_the_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from make_measured import PAGES, table

    assert {"README.md", "docs/performance.md"} <= PAGES.keys()
    for page, sections in PAGES.items():
        assert table(sections) in (ROOT / page).read_text(), page
