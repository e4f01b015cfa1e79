"""Bad input: every defect is named with file and field, and the rest of the dataset stays usable on request."""

import json
import logging

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feat2go.data import DatasetError, EpisodeWriter, ManiSkillDataset, ReadableEpisodes, open_dataset, write_maniskill

SIDE, NUM_FRAMES = 6, 4


@pytest.fixture
def recording(tmp_path, make_episode):
    """A ManiSkill file with three episodes."""
    episodes = [
        make_episode(seed, NUM_FRAMES, cameras=("base",), actions=np.full((NUM_FRAMES - 1, 7), 0.1 * seed, np.float32))
        for seed in range(3)
    ]
    write_maniskill(tmp_path / "demo.h5", episodes)
    return tmp_path / "demo.h5"


def in_h5(change):
    def apply(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def in_json(change):
    def apply(path):
        target = path.with_suffix(".json")
        description = json.loads(target.read_text())
        change(description)
        target.write_text(json.dumps(description))

    return apply


def replace(group, name, value):
    del group[name]
    group[name] = value


RGB = "traj_1/obs/sensor_data/base/rgb"
DEFECTS = {
    "NaN": (in_h5(lambda f: f["traj_1/actions"].__setitem__((0, 0), np.nan)), r"/traj_1/actions holds NaN"),
    "no steps": (
        in_h5(lambda f: [replace(f, "traj_1/actions", np.zeros((0, 7), np.float32)), replace(f, RGB, f[RGB][:1])]),
        r"/traj_1/actions is empty",
    ),
    "missing camera": (
        in_h5(lambda f: f.move("traj_1/obs/sensor_data/base", "traj_1/obs/sensor_data/other")),
        r"/traj_1/obs/sensor_data/base/rgb is missing; the episodes before have",
    ),
    "another size": (
        in_h5(lambda f: replace(f, RGB, np.zeros((NUM_FRAMES, 9, 9, 3), np.uint8))),
        r"/traj_1/obs/sensor_data/base/rgb is \(9, 9, 3\); the episodes before have \(8, 8, 3\)",
    ),
    "no pictures": (in_h5(lambda f: f["traj_1"].__delitem__("obs")), r"/traj_1/obs/sensor_data has no rgb"),
    "no group": (
        in_h5(lambda f: f.__delitem__("traj_1")),
        r"episodes\[1\] is traj_1, but .*demo\.h5 has no such group",
    ),
    "frames cut off": (in_h5(lambda f: replace(f, RGB, f[RGB][:2])), r"rgb has 2 frames; the 3 actions need 4"),
    "no numbers": (in_h5(lambda f: replace(f, "traj_1/actions", b"text")), r"traj_1/actions is .* expected numbers"),
    "absolute actions": (
        in_json(lambda d: d["episodes"][1].update(control_mode="pd_joint_pos")),
        r"demo\.json: field 'control_mode' is 'pd_joint_pos'",
    ),
    "another length": (
        in_json(lambda d: d["episodes"][1].update(elapsed_steps=9)),
        r"demo\.json: episodes\[1\]\.elapsed_steps is 9",
    ),
    "another outcome": (
        in_json(lambda d: d["episodes"][1].update(success=False)),
        r"demo\.json: episodes\[1\]\.success is False",
    ),
    "no object": (in_json(lambda d: d["episodes"].__setitem__(1, 7)), r"demo\.json: field 'episodes\[1\]' is 7"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_named_and_the_rest_is_usable(recording, name, caplog):
    break_it, message = DEFECTS[name]
    break_it(recording)
    before = {path: path.read_bytes() for path in recording.parent.iterdir()}
    with pytest.raises(DatasetError, match=message):
        list(open_dataset(recording))
    with caplog.at_level(logging.WARNING):
        left = open_dataset(recording, skip_damaged=True)
    assert [episode.uid for episode in left] == ["traj_0", "traj_2"]
    assert len(left.damaged) == 1
    assert "left out" in caplog.text
    assert left[-1].uid == "traj_2"
    assert [episode.uid for episode in left[1:]] == ["traj_2"]
    # Nothing was written.
    assert {path: path.read_bytes() for path in recording.parent.iterdir()} == before


def test_the_first_episode_may_be_the_damaged_one(recording):
    with h5py.File(recording, "r+") as file:
        file["traj_0/actions"][0, 0] = np.inf
    with pytest.raises(DatasetError, match="traj_0/actions holds NaN or infinity"):
        open_dataset(recording)
    assert [episode.uid for episode in open_dataset(recording, skip_damaged=True)] == ["traj_1", "traj_2"]


def test_nothing_is_left(recording):
    with h5py.File(recording, "r+") as file:
        for group in file.values():
            group["actions"][0, 0] = np.nan
    with pytest.raises(DatasetError, match=r"no episode can be read; the first of 3: .*traj_0/actions"):
        open_dataset(recording, skip_damaged=True)


def test_a_damaged_episode_of_a_folder_is_left_out(tmp_path, info, make_episode):
    writer = EpisodeWriter(tmp_path / "demos", info)
    paths = [writer.write(make_episode(seed)) for seed in range(3)]
    paths[1].write_bytes(paths[1].read_bytes()[:3000])
    with pytest.raises(DatasetError, match=r"000001\.h5"):
        list(open_dataset(tmp_path / "demos"))
    left = open_dataset(tmp_path / "demos", skip_damaged=True)
    assert [episode.seed for episode in left] == [0, 2]


def test_damaged_frames_are_found_too(tmp_path, info, make_episode):
    writer = EpisodeWriter(tmp_path / "demos", info)
    paths = [writer.write(make_episode(seed)) for seed in range(2)]
    with h5py.File(paths[0]) as file:
        offset = file["traj_0/obs/sensor_data/base/rgb"].id.get_chunk_info(1).byte_offset
    content = bytearray(paths[0].read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    paths[0].write_bytes(content)
    assert [episode.seed for episode in open_dataset(tmp_path / "demos", skip_damaged=True)] == [1]


def test_any_control_is_for_those_who_only_look(recording):
    break_it, _ = DEFECTS["absolute actions"]
    break_it(recording)
    dataset = ManiSkillDataset(recording, any_control=True)
    assert len(list(dataset)) == 3
    assert dataset.control_mode(1) == "pd_joint_pos"
    assert len(ReadableEpisodes(dataset)) == 3


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Two episodes in one ManiSkill file, and one in a folder, as bytes."""
    folder = tmp_path_factory.mktemp("intact")
    rng = np.random.default_rng(0)
    from feat2go.core import Episode
    from feat2go.data import DatasetInfo

    episodes = [
        Episode(
            frames={"base": rng.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)},
            instruction="push",
            actions=rng.uniform(-1, 1, (2, 3)).astype(np.float32),
            state=rng.normal(size=(3, 2)).astype(np.float32),
            success=True,
            milestones=np.array([0, 1, 2]),
            uid=f"e{seed}",
            env_id="PushCube-v1",
            seed=seed,
            fps=20.0,
        )
        for seed in range(2)
    ]
    write_maniskill(folder / "demo.h5", episodes)
    info = DatasetInfo("PushCube-v1", ("base",), SIDE, 20.0, 3, 2, ("reached", "success"))
    file = EpisodeWriter(folder / "demos", info).write(episodes[0])
    return {
        "h5": (folder / "demo.h5").read_bytes(),
        "json": (folder / "demo.json").read_bytes(),
        "episode": file.read_bytes(),
        "dataset": (folder / "demos" / "dataset.json").read_bytes(),
    }


MUTATION = st.tuples(
    st.sampled_from(["flip", "cut", "zero", "insert"]), st.floats(0, 1), st.integers(1, 64), st.integers(0, 255)
)


def mutate(content, mutations):
    changed = bytearray(content)
    for kind, where, size, value in mutations:
        start = int(where * max(len(changed) - 1, 0))
        if kind == "flip" and changed:
            changed[start] ^= value or 1
        elif kind == "cut":
            del changed[start:]
        elif kind == "zero":
            changed[start : start + size] = bytes(min(size, len(changed) - start))
        elif kind == "insert":
            changed[start:start] = bytes([value]) * size
    return bytes(changed)


def require_named_or_read(path, skip_damaged):
    """Either everything can be read, or the error is ours and names the file."""
    try:
        episodes = [(e, [frames[:] for frames in e.frames.values()]) for e in open_dataset(path, skip_damaged)]
    except DatasetError as error:
        message = str(error)
    else:
        message = str(path.with_suffix(""))
        assert all(np.isfinite(episode.actions).all() for episode, _ in episodes)
    assert str(path.with_suffix("")) in message


@settings(
    max_examples=260,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(target=st.sampled_from(["h5", "json"]), mutations=st.lists(MUTATION, min_size=1, max_size=4))
def test_no_mutated_recording_crashes(intact, tmp_path, target, mutations):
    files = {"h5": intact["h5"], "json": intact["json"]}
    files[target] = mutate(files[target], mutations)
    for suffix, content in files.items():
        (tmp_path / f"demo.{suffix}").write_bytes(content)
    for skip_damaged in (False, True):
        require_named_or_read(tmp_path / "demo.h5", skip_damaged)


@settings(
    max_examples=260,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(target=st.sampled_from(["episode", "episode", "dataset"]), mutations=st.lists(MUTATION, min_size=1, max_size=4))
def test_no_mutated_folder_crashes(intact, tmp_path, target, mutations):
    (tmp_path / "demos" / "episodes").mkdir(parents=True, exist_ok=True)
    files = {"episode": intact["episode"], "dataset": intact["dataset"]}
    files[target] = mutate(files[target], mutations)
    (tmp_path / "demos" / "episodes" / "000000.h5").write_bytes(files["episode"])
    (tmp_path / "demos" / "dataset.json").write_bytes(files["dataset"])
    for skip_damaged in (False, True):
        require_named_or_read(tmp_path / "demos", skip_damaged)
