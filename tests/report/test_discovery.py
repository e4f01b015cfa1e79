from pathlib import Path

import pytest

from feat2go.report.runs import refers_to, run_folder


def test_each_kind_of_run_is_told_by_its_files(slide, find):
    runs = find(slide)
    assert [(fit.name, fit.kind) for fit in runs.fits] == [("bc", "bc"), ("ppo", "rl"), ("value", "value")]
    # In the order in which they came about, not of their names.
    assert [evaluation.name for evaluation in runs.evaluations] == ["before", "after"]
    assert [(one.name, one.labels) for one in runs.demonstrations] == [
        ("demonstrations", slide / "demonstrations" / "labels.parquet")
    ]
    assert runs.value_models == [slide / "value" / "value"]
    assert runs.tasks == ["Slide-v1"]
    assert runs.problems == []


def test_a_run_that_is_given_twice_counts_once(slide, find):
    runs = find(slide / "ppo", slide, slide / "ppo")
    assert sorted(fit.name for fit in runs.fits) == ["bc", "ppo", "value"]


def test_names_tell_runs_of_two_tasks_apart(slide, make, find):
    make.fit(Path("runs/push/ppo"), make.rl_config(), make.rl_rows())
    assert [fit.name for fit in find("runs").fits] == ["push/ppo", "slide/bc", "slide/ppo", "slide/value"]


def test_without_a_config_the_columns_tell_the_kind(slide, find):
    for fit in ("bc", "ppo", "value"):
        (slide / fit / "config.yaml").unlink()
    runs = find(slide)
    assert [(fit.name, fit.kind) for fit in runs.fits] == [("bc", "bc"), ("ppo", "rl"), ("value", "value")]
    assert len(runs.problems) == 3
    assert "config.yaml is missing" in runs.problems[0]


def test_damaged_files_are_named_and_left_out(slide, find):
    (slide / "before" / "episodes.parquet").write_bytes(b"PAR1")
    (slide / "demonstrations" / "dataset.json").write_text("{")
    (slide / "bc" / "config.yaml").write_text("a: [")
    (slide / "value" / "value" / "config.json").write_text("{")
    runs = find(slide)
    assert [evaluation.name for evaluation in runs.evaluations] == ["after"]
    assert (runs.demonstrations, runs.value_models) == ([], [])
    for name in ("episodes.parquet", "dataset.json", "config.yaml"):
        assert sum(name in problem for problem in runs.problems) == 1


def test_errors_for_folders_without_runs(tmp_path, find):
    with pytest.raises(ValueError, match="at least one folder"):
        find()
    with pytest.raises(ValueError, match=r"holds no runs: nothing in it was written by `feat2go fit`"):
        find(tmp_path)
    with pytest.raises(NotADirectoryError, match="nowhere: no such folder of runs"):
        find(tmp_path / "nowhere")


def test_recorded_paths_are_recognised_from_elsewhere(tmp_path):
    folder = tmp_path / "runs" / "slide" / "ppo"
    for recorded in ("runs/slide/ppo", "runs/slide/ppo/policy", "./runs/slide/ppo/checkpoints/last.ckpt", str(folder)):
        assert refers_to(recorded, folder)
    for recorded in ("", "runs/slide/bc", "other/slide/ppo", "/runs/slide/ppo"):
        assert not refers_to(recorded, folder)
    assert run_folder("runs/slide/bc/policy/") == Path("runs/slide/bc")


def test_a_video_outside_of_its_folder_is_no_video(slide, make, find):
    outside = slide / "secret.mp4"
    outside.write_bytes(b"secret")
    (slide / "after" / "secret.txt").write_bytes(b"secret")
    for video in ("../secret.mp4", str(outside.resolve()), "secret.txt", "", "videos/none.mp4"):
        make.evaluation(slide / "after", "runs/slide/ppo", make.evaluation_rows(15, video=video))
        after = find(slide).evaluations[-1]
        assert [after.video_of(row) for row in after.rows] == [None] * 20
