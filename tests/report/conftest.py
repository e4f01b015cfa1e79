import shutil
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from feat2go.core import Episode, EvaluationRow, ProgressTrack
from feat2go.data import DatasetInfo, EpisodeWriter
from feat2go.encoders.baselines import PixelPatches
from feat2go.progress.table import label_writer
from feat2go.report.discovery import discover
from feat2go.report.sections import learning, values
from feat2go.rollouts.tables import write_table
from feat2go.rollouts.videos import write_video
from feat2go.values.frozen import FrozenValue
from feat2go.values.small import SmallValue
from feat2go.values.text import HashedWords

SIDE, NUM_FRAMES, TASK = 16, 6, "Slide-v1"


class Page(HTMLParser):
    """What a reader gets of a page: its text, its tags with attributes, and whether every tag was closed."""

    VOID = frozenset({"meta", "img", "br", "line", "circle"})

    def __init__(self, html):
        super().__init__()
        self.html, self.tags, self.open, self.texts = html, [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def read_page():
    def read(path):
        page = Page(Path(path).read_text(encoding="utf-8"))
        assert page.open == []
        return page

    return read


def write_fit(folder, config, rows, names=None):
    """config.yaml, and metrics.csv as Lightning's CSVLogger writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("# lightning.pytorch==0.0.1\n" + yaml.safe_dump(config))
    names = names or sorted({name for row in rows for name in row})
    lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]
    (folder / "metrics.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode())


def rl_config(reward="feat2go.rewards.terminal.TerminalValue", start="runs/slide/bc", max_epochs=8):
    return {
        "trainer": {"max_epochs": max_epochs},
        "model": {"class_path": "feat2go.training.PolicyModule", "init_args": {"initial_policy": start}},
        "data": {
            "class_path": "feat2go.training.RolloutDataModule",
            "init_args": {"reward": {"class_path": reward}, "seed": 0},
        },
    }


def rl_rows(num_epochs=8, success=lambda e: 0.1 * e, failure_value=lambda e: 0.4):
    rows = []
    for e in range(num_epochs):
        if e % 4 == 3:
            rows.append({"epoch": e, "step": 6 * e + 5, "val/success_once": 0.5, "val/success_once_low": 0.3,
                         "val/success_once_high": 0.7})  # fmt: skip
        rows.append({
            "epoch": e, "step": 6 * e + 5, "rollout/env_steps": 100.0 * (e + 1), "rollout/success": success(e),
            "rollout/return": 0.5, "rollout/reward_from_success": success(e), "rollout/reward_from_value": 0.1,
            "rollout/terminal_value_success": 0.9 if e else "nan", "rollout/terminal_value_failure": failure_value(e),
            "rollout/env_steps_per_s": 300.0, "train/samples_per_s": 1500.0, "train/first_ratio": 1.0,
            "train/first_ratio_error": 0.0, "train/kl": 0.02, "train/clip_fraction": 0.1,
            "train/explained_variance": 0.5,
        })  # fmt: skip
    return rows


def evaluation_rows(num_successes, num_lost=1, num_episodes=20, video="", instruction="slide to the end"):
    """``num_lost`` of the successes are lost again by the end. The last episode failed, and has the video."""
    return [
        EvaluationRow(
            TASK, "", "evaluation", 2_000_000_000 + i, i < num_successes, i < num_successes - num_lost, 12, 1,
            0.9 if i < num_successes - num_lost else 0.25, video if i == num_episodes - 1 else "", instruction,
        )
        for i in range(num_episodes)
    ]  # fmt: skip


def write_evaluation(folder, checkpoint, rows, **metadata):
    told = {"checkpoint": checkpoint, "env": TASK, "seeds": "evaluation", "temperature": "0.0", "feat2go": "0.0.1"}
    write_table(rows, folder / "episodes.parquet", told | metadata)


def write_demonstrations(folder, instruction="slide to the end", num_episodes=5):
    info = DatasetInfo(TASK, ("front",), SIDE, 10.0, 2, 0, ())
    writer = EpisodeWriter(folder, info)
    with label_writer(folder / "labels.parquet", {}) as append:
        for i in range(num_episodes):
            grey = np.linspace(50, 200, NUM_FRAMES).astype(np.uint8)
            frames = np.broadcast_to(grey[:, None, None, None], (NUM_FRAMES, SIDE, SIDE, 3))
            actions = np.zeros((NUM_FRAMES - 1, 2), np.float32)
            writer.write(
                Episode({"front": frames}, instruction, actions, None, True, None, f"slide-{i}", TASK, i, 10.0)
            )
            target = torch.linspace(0, 1, NUM_FRAMES)
            append(f"slide-{i}", ProgressTrack(target, torch.zeros(NUM_FRAMES, dtype=torch.int64), target))


def write_value_model(folder):
    torch.manual_seed(0)
    encoder = partial(PixelPatches, image_size=SIDE, patch_size=8)
    text = partial(HashedWords, num_buckets=8)
    factory = partial(SmallValue, encoder=encoder, text=text, num_bins=11, width=16, num_layers=1)
    FrozenValue(factory(), factory).save(folder)


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    run = tmp_path_factory.mktemp("template") / "slide"
    write_demonstrations(run / "demonstrations")
    write_value_model(run / "value" / "value")
    value_data = {"dataset": ["runs/slide/demonstrations"], "validation_share": 0.4, "seed": 3}
    write_fit(
        run / "value",
        {"model": {"class_path": "feat2go.training.ValueModule"},
         "data": {"class_path": "feat2go.training.ValueDataModule", "init_args": value_data}},
        [{"epoch": e, "step": e, "train/loss": 2.0 - e, "val/voc": 0.91, "val/pair_accuracy": 0.95, "val/mae": 0.07}
         for e in range(2)],
    )  # fmt: skip
    write_fit(
        run / "bc",
        {"model": {"class_path": "feat2go.training.PolicyModule"},
         "data": {"class_path": "feat2go.training.DemonstrationDataModule"}},
        [{"epoch": 0, "step": 9, "train/nll": 4.5, "train/entropy": 4.0, "val/nll": 4.4}],
    )  # fmt: skip
    write_fit(run / "ppo", rl_config(), rl_rows())
    frames = np.zeros((7, SIDE, SIDE, 3), np.uint8)
    frames[:, 4:8] = 200
    write_video(run / "after" / "videos" / "19_failure.mp4", frames, 10.0)
    write_evaluation(run / "before", "runs/slide/bc", evaluation_rows(4))
    write_evaluation(run / "after", "runs/slide/ppo", evaluation_rows(15, video="videos/19_failure.mp4"))
    return run


@pytest.fixture
def slide(template, tmp_path, monkeypatch):
    """A whole demo run at runs/slide, seen from where it was made: 4 of 20 before, 15 of 20 after."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(template, "runs/slide"))


@pytest.fixture
def make():
    """The writers above, to build other runs."""

    class Make:
        fit = staticmethod(write_fit)
        evaluation = staticmethod(write_evaluation)
        demonstrations = staticmethod(write_demonstrations)
        rl_config = staticmethod(rl_config)
        rl_rows = staticmethod(rl_rows)
        evaluation_rows = staticmethod(evaluation_rows)

    return Make


@pytest.fixture
def find():
    return lambda *folders: discover([Path(folder) for folder in folders])


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without their figures, which take most of the time."""
    monkeypatch.setattr(learning, "draw_panel", lambda panel, fits: None)
    monkeypatch.setattr(values, "value_curve_figure", lambda episode, target, prediction: None)
    for module in (learning, values):
        monkeypatch.setattr(module, "data_uri", lambda figure: "data:image/svg+xml,")
