import csv
import json
from functools import partial

import numpy as np
import pytest
import torch

from feat2go.cli.main import main
from feat2go.core import Episode
from feat2go.data import DatasetInfo, EpisodeWriter, write_maniskill
from feat2go.encoders.baselines import PixelPatches
from feat2go.values import FrozenValue, SmallValue

NAMED = {
    "voc",
    "pair_accuracy",
    "boundary_precision",
    "boundary_recall",
    "boundary_f1",
    "boundary_f1_uniform",
    "milestone_spread",
    "elapsed_spread",
}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """No weights: raw pixels are compared."""
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))


def make_episode(seed, num_frames=16, success=True, milestones=True):
    """A bright square crosses a dark picture, rests in the middle, and goes on."""
    position = np.concatenate([np.arange(num_frames // 2 - 3), np.full(3, num_frames // 2 - 3)])
    position = np.concatenate([position, position[-1] + np.arange(1, num_frames - len(position) + 1)])
    frames = np.zeros((num_frames, 32, 32, 3), np.uint8)
    for t, left in enumerate(position):
        frames[t, 8:20, left + seed % 3 : left + seed % 3 + 10] = 255
    rest = num_frames // 2
    return Episode(
        frames={"base": frames},
        instruction="push",
        actions=np.tile(np.float32([0.5, 0, 0, 0, 0, 0, 1]), (num_frames - 1, 1)),
        state=None,
        success=success,
        milestones=(np.arange(num_frames) >= rest).astype(int) if milestones else None,
        uid=f"Slide-v1-{seed}",
        env_id="PushCube-v1",
        seed=seed,
        fps=20.0,
    )


@pytest.fixture
def folder(tmp_path):
    info = DatasetInfo("PushCube-v1", ("base",), 32, 20.0, 7, 0, ("middle",))
    writer = EpisodeWriter(tmp_path / "demos", info)
    for seed, num_frames in enumerate((16, 20, 18)):
        writer.write(make_episode(seed, num_frames))
    writer.write(make_episode(7, success=False))
    return tmp_path / "demos"


def test_of_a_folder_with_everything(folder, tmp_path, capsys):
    main(["audit", str(folder), "--output", str(tmp_path / "out")])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {"strokes", "trend", "uniform", "steps_to_go", "shuffled"} <= set(summary)
    for own in summary.values():
        assert set(own) >= NAMED | {"failed_auroc"}
        for name in NAMED:
            assert own[name]["low"] <= own[name]["mean"] <= own[name]["high"]
    printed = capsys.readouterr().out
    assert "3 successful episodes, 1 failed; compared with the simulator's milestones" in printed
    assert "raw pixels are compared" in printed
    page = (tmp_path / "out" / "audit.html").read_text()
    assert "milestone_spread" in page
    assert len(list((tmp_path / "out" / "plots").glob("*.png"))) == 4
    assert (tmp_path / "out" / "labels" / "strokes.parquet").is_file()


def test_of_a_recording_with_milestones_from_a_file(tmp_path, capsys):
    write_maniskill(tmp_path / "demo.h5", [make_episode(seed, milestones=False) for seed in range(3)], "pd_joint_pos")
    with (tmp_path / "milestones.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["episode", "frame", "milestone"], *([f"traj_{k}", 8, "middle"] for k in range(3))])
    words = ["audit", str(tmp_path / "demo.h5"), "--milestones", str(tmp_path / "milestones.csv")]
    main([*words, "--method", "uniform", "steps_to_go", "--encoder", "pixels", "--output", str(tmp_path / "out")])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(summary) == ["uniform", "steps_to_go"]
    # Alike in all episodes.
    assert summary["steps_to_go"]["elapsed_spread"]["mean"] == pytest.approx(0, abs=1e-6)
    assert "milestones.csv" in capsys.readouterr().out


def test_without_milestones_phases_of_the_motion_stand_in(tmp_path, capsys):
    write_maniskill(tmp_path / "demo.h5", [make_episode(seed, milestones=False) for seed in range(2)])
    words = [
        "audit",
        str(tmp_path / "demo.h5"),
        "--method=trend",
        "--encoder=pixels",
        "--output",
        str(tmp_path / "out"),
    ]
    main(words)
    assert "phases of gripper and arm motion" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "strokse"], "unknown method 'strokse'. Did you mean 'strokes'?"),
        (["--method", "value"], "needs --value_model"),
        (["--milestones", "absent.csv"], "no such file of milestones"),
        (["--max_episodes=-1"], "max_episodes must be at least 0"),
    ],
)
def test_what_a_user_can_mend_is_said(folder, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit):
        main(["audit", str(folder), "--encoder=pixels", "--output", str(tmp_path / "out"), *words])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_value_model_stands_beside_the_targets_and_is_asked_about_perturbed_pictures_too(folder, tmp_path):
    torch.manual_seed(0)
    encoder = partial(PixelPatches, image_size=16, patch_size=4)
    network = partial(SmallValue, encoder=encoder, num_bins=5, width=16, num_layers=1, dropout=0.0)
    FrozenValue(network(), network).save(tmp_path / "value")
    words = ["audit", str(folder), "--method", "uniform", "value", "--encoder=pixels"]
    words += ["--value_model", str(tmp_path / "value"), "--perturbed_episodes=1", "--output", str(tmp_path / "out")]
    main(words)
    summary, robustness = (
        json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("summary", "robustness")
    )
    assert list(summary) == list(robustness) == ["uniform", "value"]
    assert set(summary["value"]) >= NAMED
    assert len(robustness["value"]) == 15
    for own in robustness.values():
        assert set(own["noise 2"]) == {"rank_correlation", "boundary_shift", "pair_accuracy_drop"}
    # An untrained network answers to noise; it would be 1 if it were asked about the clean pictures again.
    assert robustness["value"]["noise 3"]["rank_correlation"]["mean"] < 0.999


def test_damaged_episodes_are_left_out_on_request(folder, tmp_path, capsys):
    (folder / "episodes" / "000001.h5").write_bytes(b"nothing")
    words = ["audit", str(folder), "--method", "trend", "--encoder=pixels", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main(words)
    assert "000001.h5" in capsys.readouterr().err
    main([*words, "--skip_damaged", "true"])
    assert "2 successful episodes" in capsys.readouterr().out


def test_the_same_states_are_rendered_anew_on_request(folder, tmp_path, monkeypatch):
    def darker(episodes, kind, severity):
        assert kind in ("light", "distractors", "view")
        return (np.asarray(episode.view()[:]) // (severity + 1) for episode in episodes)

    monkeypatch.setattr("feat2go.rollouts.variations.rendered_anew", darker)
    words = ["audit", str(folder), "--method", "uniform", "--encoder=pixels", "--output", str(tmp_path / "out")]
    main([*words, "--perturbed_episodes=1", "--rendered_anew=true"])
    robustness = json.loads((tmp_path / "out" / "robustness.json").read_text())["uniform"]
    assert len(robustness) == 15 + 9
    assert robustness["rendered light 2"]["rank_correlation"]["mean"] > 0.5
