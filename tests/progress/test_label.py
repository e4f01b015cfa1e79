import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from feat2go import __version__
from feat2go.clustering import Uniform
from feat2go.core.types import Episode, FeatureTrack, Stages
from feat2go.progress import label_episodes, read_label_metadata, read_labels, structural_progress


class MeanColour:
    """The mean colour of each half of the picture: the least that is an encoder."""

    fingerprint = "mean-colour"
    feature_shape = (2, 3)

    def encode_images(self, images):
        halves = torch.stack(images.float().chunk(2, dim=2), dim=1)
        return halves.mean((2, 3)) / 255 + 0.5

    def encode_episode(self, frames):
        features = self.encode_images(frames).half()
        return FeatureTrack(features, torch.arange(len(frames)), self.fingerprint)


def make_episode(uid, num_frames=8, success=True):
    rng = np.random.default_rng(num_frames)
    frames = rng.integers(0, 256, (num_frames, 16, 16, 3), dtype=np.uint8)
    return Episode(
        frames={"base": frames, "wrist": np.zeros_like(frames)},
        instruction="put the cube on the plate",
        actions=np.zeros((num_frames - 1, 7), np.float32),
        state=None,
        success=success,
        milestones=None,
        uid=uid,
        env_id="test",
        seed=0,
        fps=10.0,
    )


def label(tmp_path, episodes, **options):
    output = tmp_path / "labels" / "progress.parquet"
    return output, label_episodes(episodes, MeanColour(), Uniform(num_stages=2), output, **options)


def test_writes_the_structural_target_of_the_first_camera(tmp_path):
    episodes = [make_episode("a", 8), make_episode("b", 1), make_episode("c", 13)]
    output, summary = label(tmp_path, iter(episodes), beta=0.1, scope="episode")
    assert (summary.num_labelled, summary.num_skipped) == (3, 0)
    labels = read_labels(output)
    assert list(labels) == ["a", "b", "c"]
    for episode in episodes:
        features = MeanColour().encode_episode(torch.from_numpy(episode.frames["base"])).features
        expected = structural_progress(features, Uniform(num_stages=2).segment(features), 0.1, "episode")
        for name in ("target", "stage", "similarity"):
            found = getattr(labels[episode.uid], name)
            torch.testing.assert_close(found, getattr(expected, name), rtol=0, atol=0)


def test_the_table_has_a_row_per_frame_and_a_row_group_per_episode(tmp_path):
    output, _ = label(tmp_path, [make_episode("a", 8), make_episode("b", 5)])
    file = pq.ParquetFile(output)
    assert file.num_row_groups == 2
    table = file.read()
    assert table.column_names == ["episode", "frame", "stage", "similarity", "target"]
    assert table.column("episode").to_pylist() == ["a"] * 8 + ["b"] * 5
    assert table.column("frame").to_pylist() == [*range(8), *range(5)]


def test_the_file_says_what_it_was_made_with(tmp_path):
    output, _ = label(tmp_path, [make_episode("a")], beta=0.25)
    assert read_label_metadata(output) == {
        "version": __version__,
        "encoder": "mean-colour",
        "clustering": {"class_path": "feat2go.clustering.fixed.Uniform", "init_args": {"num_stages": 2}},
        "beta": 0.25,
        "scope": "stage",
        "camera": None,
    }


def test_failures_are_skipped_and_counted(tmp_path):
    seen = []
    episodes = [make_episode("a"), make_episode("b", success=False), make_episode("c")]
    output, summary = label(tmp_path, episodes, on_episode=lambda episode: seen.append(episode.uid))
    assert (summary.num_labelled, summary.num_skipped) == (2, 1)
    assert list(read_labels(output)) == ["a", "c"]
    assert seen == ["a", "b", "c"]


def test_rows_reach_the_disk_while_later_episodes_are_still_to_come(tmp_path):
    sizes = []

    def note_size(_):
        sizes.append(next((tmp_path / "labels").iterdir()).stat().st_size)

    label(tmp_path, (make_episode(f"{n}") for n in range(5)), on_episode=note_size)
    assert len(sizes) == 5
    assert all(later > earlier for earlier, later in itertools.pairwise(sizes))


def test_an_interrupted_run_leaves_the_old_file_alone(tmp_path):
    output, _ = label(tmp_path, [make_episode("old")])

    def interrupted():
        yield make_episode("new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(tmp_path, interrupted())
    assert list(read_labels(output)) == ["old"]
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_pictures_are_written_under_safe_names(tmp_path):
    label(tmp_path, [make_episode("PushCube/0001"), make_episode("b", 1)], pictures=tmp_path / "pictures")
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["PushCube%2F0001.png", "b.png"]
    for name in names:
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert picture.size == (1000, 750)


def test_errors_name_the_episode(tmp_path):
    class Broken(MeanColour):
        def encode_images(self, images):
            return super().encode_images(images) * float("nan")

    with pytest.raises(ValueError, match="episode 'a' can't be labelled: features must be finite"):
        label_episodes([make_episode("a")], Broken(), Uniform(), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="episode 'a' appears twice"):
        label(tmp_path, [make_episode("a"), make_episode("a")])
    with pytest.raises(ValueError, match="none of 2 episodes succeeded"):
        label(tmp_path, [replace(make_episode(uid), success=False) for uid in "ab"])
    assert not list(tmp_path.rglob("*.parquet"))


def write_table(tmp_path, **changes):
    columns = {
        "episode": ["a", "a", "b"],
        "frame": [0, 1, 0],
        "stage": [0, 1, 0],
        "similarity": [0.5, 1.0, 1.0],
        "target": [0.25, 1.0, 1.0],
    }
    columns = {name: column for name, column in {**columns, **changes}.items() if column is not None}
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_reads_labels_made_elsewhere(tmp_path):
    path = write_table(tmp_path, quality=[1, 2, 3])
    labels = read_labels(path)
    assert labels["a"].target.tolist() == [0.25, 1.0]
    assert labels["a"].target.dtype == torch.float32
    assert labels["a"].stage.tolist() == [0, 1]
    assert labels["b"].similarity.tolist() == [1.0]
    assert read_label_metadata(path) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": None}, "column 'target' is missing; found episode, frame, stage, similarity"),
        ({"target": [0.5, None, 1.0]}, "column 'target' has 1 empty cells"),
        ({"target": ["x", "y", "z"]}, "column 'target' should hold float, not string"),
        ({"target": [0.5, 1.5, 1.0]}, "column 'target': episode 'a' has values outside"),
        ({"target": [0.5, 1.0, float("nan")]}, "column 'target': episode 'b' has values outside"),
        ({"frame": [1, 0, 0]}, "column 'frame': episode 'a' does not run"),
        ({"frame": [0.0, 1.5, 0.0]}, "column 'frame' should hold int64, not double"),
        ({"stage": [1, 0, 0]}, "column 'stage': episode 'a'"),
        ({"stage": [-1, 0, 0]}, "column 'stage': episode 'a'"),
        ({"episode": ["a", "b", "a"], "frame": [0, 0, 0]}, "column 'episode': the rows of 'a' are not together"),
    ],
)
def test_refuses_a_table_naming_file_and_column(tmp_path, changes, message):
    path = write_table(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read_labels(path)
    assert str(path) in str(error.value)


def test_refuses_a_missing_or_damaged_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such label file"):
        read_labels(tmp_path / "nowhere.parquet")
    path = tmp_path / "damaged.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match="not a parquet file"):
        read_labels(path)


class Together:
    """Cuts every episode in the middle of the shortest of its task."""

    def segment(self, features):
        raise AssertionError("all episodes of a task are seen together")

    def segment_all(self, features):
        cut = min(len(track) for track in features) // 2
        return [Stages.from_boundaries([0, cut, len(track)]) for track in features]


def test_a_clustering_that_can_sees_all_successes_of_a_task(tmp_path):
    episodes = [make_episode("a", 8), make_episode("b", 13), make_episode("c", 4, success=False)]
    episodes.append(replace(make_episode("d", 20), env_id="another"))
    label_episodes(iter(episodes), MeanColour(), Together(), tmp_path / "labels.parquet")
    stages = {uid: own.stage.tolist() for uid, own in read_labels(tmp_path / "labels.parquet").items()}
    assert stages == {"a": [0] * 4 + [1] * 4, "b": [0] * 4 + [1] * 9, "d": [0] * 10 + [1] * 10}
