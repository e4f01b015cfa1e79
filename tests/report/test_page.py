import re
import shutil
from pathlib import Path

import pytest
import torch

from feat2go.core.intervals import wilson
from feat2go.report import page as page_module
from feat2go.report import write_report
from feat2go.values.frozen import FrozenValue

HOSTILE = '"><script>alert(1)</script>&amp; $x^{$ <b>'


@pytest.fixture(scope="module")
def whole(template, tmp_path_factory, read_page):
    """The page of a whole demo run."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(template, folder / "runs" / "slide")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_report([Path("runs/slide")], Path("report.html"))
    return read_page(folder / "report.html")


@pytest.fixture
def report(undrawn, read_page, tmp_path):
    """Pages without figures."""

    def report(*folders):
        write_report(list(folders), tmp_path / "report.html")
        return read_page(tmp_path / "report.html")

    return report


def test_the_headline_has_the_numbers_and_their_intervals(whole):
    text = whole.text
    assert "Slide-v1, 20 episodes with evaluation seeds, greedy" in text
    assert "20.0 % → 75.0 %" in text
    assert "15.0 % → 70.0 %" in text
    for num_successes in (4, 15, 3, 14):
        low, high = wilson(num_successes, 20)
        assert f"{num_successes} of 20, [{100 * low:.1f}, {100 * high:.1f}] %" in text
    assert text.count("The intervals do not overlap") == 2
    assert "A comparison with the sparse reward" in text


def test_the_table_has_a_row_for_each_evaluation(whole):
    text = whole.text
    low, high = wilson(4, 20)
    assert f"before Slide-v1 evaluation 0.0 20 20.0 % [{100 * low:.1f}, {100 * high:.1f}] %" in text
    # Length, then the mean predicted value of what ended in success, and of the rest.
    assert text.count("12 0.9 0.25") == 2


def test_checks_curves_values_and_origin_are_there(whole):
    assert "Reward hacking ok" in whole.text
    assert "First importance ratio ok" in whole.text
    assert (
        "On held-out episodes, at the end of the fit: VOC 0.91, pair accuracy 0.95, mean absolute error 0.07"
        in whole.text
    )
    alts = [image["alt"] for image in whole.of("img")]
    assert any("Success. ppo, training episodes: 0 at 100, 0.7 at 800 environment steps" in alt for alt in alts)
    assert "progress target from 0 to 1" in " ".join(alts)
    assert "was not trained on" in whole.text
    assert "failed episode, never reached the goal" in whole.text
    assert "the value of the true last frame was 0.25" in whole.text
    for title in ("Learning curves", "Value curves", "Evaluations", "What this does not show", "What was run"):
        assert title in whole.text
    assert f"torch {torch.__version__}" in whole.text
    assert "ppo was made with lightning 0.0.1" in whole.text
    assert "with one seed" in whole.text


def test_the_page_needs_no_other_file(whole):
    names = ("src", "href", "srcset", "poster", "data", "action")
    links = [attributes[name] for _, attributes in whole.tags for name in names if name in attributes]
    assert len(links) > 10
    assert all(link.startswith(("data:image/svg+xml,", "data:video/mp4;base64,")) for link in links)
    assert not {tag for tag, _ in whole.tags} & {"script", "link", "iframe", "object", "embed"}
    assert "@import" not in whole.html
    # Figures refer to their own parts only: url(#...).
    assert not re.search(r"url\((?!%23)", whole.html)
    assert len(whole.of("video")) == 1


def test_every_picture_is_described(whole):
    assert len(whole.of("img")) > 10
    assert all(image["alt"] for image in whole.of("img"))
    assert all(attributes.get("aria-label") or "aria-hidden" in attributes for attributes in whole.of("svg"))
    assert whole.of("html")[0]["lang"] == "en"


def test_hostile_strings_are_text(slide, make, report):
    make.evaluation(
        slide / "after",
        "runs/slide/ppo",
        make.evaluation_rows(15, video="videos/19_failure.mp4", instruction=HOSTILE),
        seeds=HOSTILE,
        temperature=HOSTILE,
    )
    make.demonstrations(slide / HOSTILE.replace("/", "_"), instruction=HOSTILE)
    make.fit(slide / HOSTILE.replace("/", "_") / "ppo", make.rl_config(reward=HOSTILE, start=HOSTILE), make.rl_rows())
    page = report(slide)
    assert not page.of("script")
    assert not page.of("b")
    assert f"“{HOSTILE}”" in page.text


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("before", "were not both evaluated; the table below has what there is. feat2go evaluate"),
        ("ppo", "No run that trained a policy by reinforcement learning was found. feat2go fit"),
        ("bc", "No run that trained a policy by imitation was found. feat2go fit"),
        ("value", "No value model was found. feat2go fit"),
        ("demonstrations", "No demonstrations were found. feat2go collect"),
        ("demonstrations/labels.parquet", "runs/slide/demonstrations has no progress targets. feat2go label"),
        ("ppo/metrics.csv", "runs/slide/ppo has logged nothing yet. feat2go fit"),
        ("after/videos", "There are no videos of these evaluations"),
        ("value/value/model.safetensors", "No value model was found."),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_makes_it(slide, report, tmp_path, part, sentence):
    (slide / part).rename(tmp_path / "elsewhere")
    assert sentence in report(slide).text


@pytest.mark.parametrize("part", ["bc", "ppo", "value", "before", "demonstrations", "value/value"])
def test_each_part_alone_gives_a_page(slide, report, part):
    assert "What was run" in report(slide / part).text


def test_an_interrupted_fit_with_a_cut_off_line(slide, report):
    log = slide / "ppo" / "metrics.csv"
    log.write_bytes(log.read_bytes()[:-10])
    text = report(slide).text
    assert "runs/slide/ppo: 8 epochs. 1 incomplete line of the log left out." in text
    log.write_bytes(log.read_bytes()[: log.read_bytes().index(b"\r\n5,") + 2])
    assert "runs/slide/ppo: 5 epochs of 8; it was interrupted, or is still running" in report(slide).text


def test_columns_that_were_not_logged_are_named(slide, make, report):
    rows = [{"epoch": e, "rollout/env_steps": 100 * e, "rollout/success": 0.5} for e in range(3)]
    make.fit(slide / "ppo", make.rl_config(), rows)
    text = report(slide).text
    assert "these were not logged" in text
    assert "train/kl" in text
    assert "train/first_ratio_error was not logged" in text


def test_a_policy_with_a_loss_of_its_own_has_a_panel_for_it_and_others_miss_none(slide, make, report):
    assert "Of policies without log-probs" not in (text := report(slide).text)
    assert "cloning_loss" not in text
    config = {"model": {"class_path": "feat2go.training.PolicyModule"},
              "data": {"class_path": "feat2go.training.DemonstrationDataModule"}}  # fmt: skip
    make.fit(slide / "bc", config, [{"epoch": 0, "step": 9, "train/cloning_loss": 0.5}])
    assert "Of policies without log-probs" in report(slide).text


def test_damage_is_said_and_the_rest_is_shown(slide, report):
    (slide / "after" / "videos" / "19_failure.mp4").write_bytes(b"no video")
    (slide / "demonstrations" / "episodes" / "000000.h5").write_bytes(b"no episode")
    (slide / "before" / "episodes.parquet").write_bytes(b"no table")
    text = report(slide).text
    assert "The episodes of runs/slide/demonstrations can't be shown" in text
    assert "The videos of runs/slide/after can't be shown" in text
    assert "runs/slide/before/episodes.parquet: not a parquet file" in text
    assert "Learning curves" in text


def test_a_value_model_that_can_not_be_loaded_is_said(slide, report, monkeypatch):
    def fail(folder):
        raise FileNotFoundError("mobilenet_v2 is missing; `feat2go weights get mobilenet_v2`")

    monkeypatch.setattr(FrozenValue, "load", fail)
    text = report(slide).text
    assert "runs/slide/value/value can't be loaded: mobilenet_v2 is missing; `feat2go weights get mobilenet_v2`" in text
    assert "Demonstrations" in text


def test_large_videos_stay_out(slide, report):
    with (slide / "after" / "videos" / "19_failure.mp4").open("ab") as video:
        video.write(bytes(2_000_000))
    page = report(slide)
    assert not page.of("video")
    assert "too large for this page: " in page.text


def test_the_old_page_stays_until_the_new_one_is_whole(slide, undrawn, tmp_path, monkeypatch):
    output = tmp_path / "pages" / "report.html"
    write_report([slide], output)
    before = output.read_bytes()

    # Not a string: writing fails when the file is open already.
    monkeypatch.setattr(page_module, "_page", lambda runs, output: None)
    with pytest.raises(TypeError):
        write_report([slide], output)
    assert output.read_bytes() == before
    assert [file.name for file in output.parent.iterdir()] == ["report.html"]


def test_an_empty_folder_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match="holds no runs"):
        write_report([tmp_path / "runs"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
