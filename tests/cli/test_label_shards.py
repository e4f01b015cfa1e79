"""Labelling by shards: the same file, row for row, as one process writes."""

import sys
from dataclasses import replace
from functools import partial

import pyarrow.parquet as pq
import pytest

from feat2go.cli import label_shards
from feat2go.cli.label_shards import LabelJob, ShardLabeller, part_path
from feat2go.cli.main import main
from feat2go.clustering import Uniform
from feat2go.encoders.baselines import PixelPatches
from feat2go.envs.tabletop.env import Tabletop
from feat2go.progress import join_labels, read_label_metadata
from feat2go.rollouts.demonstrations import collect

NUM_EPISODES = 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Five demonstrations, in three shards of two."""
    folder = tmp_path_factory.mktemp("demonstrations") / "tabletop"
    env = Tabletop(num_envs=2, image_size=32, num_distractors=0, workspace=0.2, max_episode_steps=30)
    collect(env, folder, NUM_EPISODES, progress=False)
    return folder


@pytest.fixture
def words(dataset):
    """The command, but for where its output goes."""
    return ["label", str(dataset), "--encoder", "pixels", "--clustering", "uniform", "--clustering.num_stages", "3"]


@pytest.fixture
def alone(words, tmp_path):
    """What one process writes."""
    main([*words, "--cache", "false", "--output", str(tmp_path / "alone.parquet")])
    return tmp_path / "alone.parquet"


@pytest.fixture
def job(dataset):
    return LabelJob(dataset, partial(PixelPatches), Uniform(num_stages=3), 0.0, "stage", None, None, cache=False)


def assert_same_file(a, b):
    first, second = pq.ParquetFile(a), pq.ParquetFile(b)
    assert first.num_row_groups == second.num_row_groups == NUM_EPISODES
    assert first.schema_arrow == second.schema_arrow
    assert first.read().equals(second.read())
    assert read_label_metadata(a) == read_label_metadata(b)


def test_a_clustering_of_whole_tasks_is_refused(dataset, capsys):
    with pytest.raises(SystemExit):
        main(["label", str(dataset), "--encoder", "pixels", "--clustering", "strokes", "--ray", "local"])
    assert "Strokes looks at all episodes of a task together" in capsys.readouterr().err


def test_the_parts_together_are_the_whole(job, alone, tmp_path):
    label = ShardLabeller(job, tmp_path, size=2)
    rows = [label({"id": number}) for number in range(3)]
    assert [row["num_labelled"] for row in rows] == [2, 2, 1]
    join_labels([part_path(tmp_path, number) for number in range(3)], tmp_path / "joined.parquet")
    assert_same_file(tmp_path / "joined.parquet", alone)


def test_a_shard_that_is_done_is_not_done_again_unless_the_settings_changed(job, tmp_path):
    label = ShardLabeller(job, tmp_path, size=2)
    label({"id": 1})
    part = part_path(tmp_path, 1)
    before = part.stat().st_mtime_ns
    assert label({"id": 1}) == {"num_labelled": 2, "num_episodes": 2}
    assert part.stat().st_mtime_ns == before
    ShardLabeller(replace(job, beta=0.5), tmp_path, size=2)({"id": 1})
    assert read_label_metadata(part)["beta"] == 0.5


def test_an_episode_in_two_parts_is_refused(job, tmp_path):
    ShardLabeller(job, tmp_path, size=2)({"id": 0})
    with pytest.raises(ValueError, match=r"appears twice"):
        join_labels([part_path(tmp_path, 0)] * 2, tmp_path / "joined.parquet")
    assert not (tmp_path / "joined.parquet").exists()


def test_without_ray_one_sentence_says_what_to_install(words, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as ended:
        main([*words, "--ray", "local"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "feat2go: --ray needs Ray: pip install 'feat2go[ray]'\n"


@pytest.mark.ray
def test_two_workers_of_a_local_ray_write_what_one_process_writes(words, alone, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray")
    monkeypatch.setattr(label_shards, "EPISODES_PER_SHARD", 2)
    output = tmp_path / "ray.parquet"
    main([*words, "--cache", "false", "--output", str(output), "--ray", "local", "--ray_workers", "2"])
    assert_same_file(output, alone)
    assert f"{NUM_EPISODES} episodes labelled, 0 failures left out" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.parts"))


def test_a_worker_keeps_freed_memory_as_the_command_does(job, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(label_shards, "keep_freed_memory", lambda: calls.append("kept"))
    ShardLabeller(job, tmp_path, 2)
    assert calls == ["kept"]
