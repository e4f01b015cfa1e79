import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from feat2go.data import DatasetError, ManiSkillDataset, open_dataset, write_maniskill

NUM_FRAMES, SIDE = 5, 16


@pytest.fixture
def recording(tmp_path):
    """A file as RecordEpisode writes it for a ManiSkill environment with obs_mode rgb, without ManiSkill."""
    rng = np.random.default_rng(0)
    entries = []
    with h5py.File(tmp_path / "demo.h5", "w") as file:
        for number, seed in enumerate((11, 7)):
            group = file.create_group(f"traj_{number}", track_order=True)
            images = rng.integers(0, 256, (NUM_FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
            group.create_dataset("obs/sensor_data/base_camera/rgb", data=images, compression="gzip")
            group["obs/sensor_data/base_camera/depth"] = np.zeros((NUM_FRAMES, SIDE, SIDE, 1), np.int16)
            group["obs/agent/qpos"] = np.zeros((NUM_FRAMES, 9), np.float32)
            group["actions"] = rng.uniform(-1, 1, (NUM_FRAMES - 1, 7)).astype(np.float32)
            group["success"] = np.array([False] * (NUM_FRAMES - 2) + [number == 0])
            group["terminated"] = group["truncated"] = np.zeros(NUM_FRAMES - 1, bool)
            entries.append(
                {
                    "episode_id": number,
                    "episode_seed": seed,
                    "control_mode": "pd_ee_delta_pose",
                    "elapsed_steps": NUM_FRAMES - 1,
                    "reset_kwargs": {"options": None, "seed": seed},
                    "success": number == 0,
                }
            )
    info = {"env_id": "PushCube-v1", "env_kwargs": {"obs_mode": "rgb"}, "max_episode_steps": 50}
    (tmp_path / "demo.json").write_text(json.dumps({"env_info": info, "commit_info": None, "episodes": entries}))
    return tmp_path / "demo.h5"


def edit(recording, change):
    path = recording.with_suffix(".json")
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def test_reads_what_maniskill_records(recording):
    dataset = ManiSkillDataset(recording)
    assert len(dataset) == 2
    first, second = dataset[:]
    assert (first.seed, first.success, first.uid, second.seed, second.success) == (11, True, "traj_0", 7, False)
    assert (first.env_id, first.instruction, first.fps) == ("PushCube-v1", "push cube", 20.0)
    assert (first.state, first.milestones) == (None, None)
    with h5py.File(recording) as file:
        np.testing.assert_array_equal(first.frames["base_camera"][:], file["traj_0/obs/sensor_data/base_camera/rgb"])
        recorded = file["traj_0/actions"][:]
    np.testing.assert_array_equal(first.actions, recorded * np.array([1, 1, 1, -1, -1, -1, 1], np.float32))


def test_negative_index_and_iteration(recording):
    dataset = ManiSkillDataset(recording)
    assert [episode.seed for episode in dataset] == [11, 7]
    assert dataset[-1].seed == 7
    with pytest.raises(IndexError):
        dataset[2]


def test_reads_the_state_the_control_frequency_and_the_given_instruction(recording):
    with h5py.File(recording, "r+") as file:
        file["traj_0/obs/state"] = np.ones((NUM_FRAMES, 35), np.float32)
    edit(recording, lambda d: d["env_info"]["env_kwargs"].update(sim_config={"control_freq": 10}))
    episode = ManiSkillDataset(recording, instruction="push the cube to the target")[0]
    np.testing.assert_array_equal(episode.state, np.ones((NUM_FRAMES, 35), np.float32), strict=True)
    assert (episode.fps, episode.instruction) == (10.0, "push the cube to the target")


def test_actions_beyond_the_range_are_clipped_as_maniskill_does(recording):
    with h5py.File(recording, "r+") as file:
        file["traj_0/actions"][0] = [3, -3, 0.5, 3, -3, 0.5, 1]
    np.testing.assert_array_equal(
        ManiSkillDataset(recording)[0].actions[0], np.array([1, -1, 0.5, -1, 1, -0.5, 1], np.float32)
    )


def test_without_success_in_the_json_the_h5_tells(recording):
    edit(recording, lambda d: [entry.pop("success") for entry in d["episodes"]])
    assert [episode.success for episode in ManiSkillDataset(recording)] == [True, False]


def test_episodes_that_the_json_leaves_out_are_left_out(recording):
    edit(recording, lambda d: d["episodes"].pop(0))
    assert [episode.uid for episode in ManiSkillDataset(recording)] == ["traj_1"]


def test_a_recording_without_pictures_is_told_to_be_replayed(recording):
    with h5py.File(recording, "r+") as file:
        for group in file.values():
            del group["obs"]
    command = r"replay_trajectory --traj-path \S*demo\.h5 --obs-mode rgb --target-control-mode pd_ee_delta_pose"
    with pytest.raises(DatasetError, match=rf"/traj_0/obs/sensor_data has no rgb.*{command}"):
        ManiSkillDataset(recording)


@pytest.mark.parametrize("obs", ["group", "state array"])
def test_other_observations_are_no_pictures(recording, obs):
    with h5py.File(recording, "r+") as file:
        for group in file.values():
            del group["obs"]
            if obs == "group":
                group.create_group("obs")
            else:
                group["obs"] = np.zeros((NUM_FRAMES, 35), np.float32)
    with pytest.raises(DatasetError, match="has no rgb"):
        ManiSkillDataset(recording)


def test_absolute_actions_are_told_to_be_replayed(recording):
    edit(recording, lambda d: d["episodes"][0].update(control_mode="pd_joint_pos"))
    with pytest.raises(DatasetError, match=r"'control_mode' is 'pd_joint_pos'.*--target-control-mode pd_ee_delta_pose"):
        ManiSkillDataset(recording)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["episodes"][1].update(elapsed_steps=9),
            r"episodes\[1\]\.elapsed_steps is 9, but .* has 4 actions",
        ),
        (
            lambda d: d["episodes"][1].update(success=True),
            r"episodes\[1\]\.success is True, but /traj_1/success .* False",
        ),
        (lambda d: d["episodes"][1].update(episode_id=5), r"episodes\[1\] is traj_5, but .*demo\.h5 has no such group"),
        (lambda d: d["episodes"][1].pop("episode_id"), r"field 'episodes\[1\]\.episode_id' is missing"),
        (lambda d: d["episodes"][1].pop("control_mode"), r"field 'episodes\[1\]\.control_mode' is missing"),
        (
            lambda d: [d["episodes"][1].pop(name) for name in ("episode_seed", "reset_kwargs")],
            r"field 'episodes\[1\]\.episode_seed' is missing",
        ),
        (lambda d: d.update(episodes={}), r"field 'episodes' is not a list"),
        (lambda d: d.pop("episodes"), r"field 'episodes' is missing"),
        (lambda d: d.update(env_info=None), r"field 'env_info\.env_id' is missing"),
    ],
)
def test_a_json_that_does_not_fit_is_named(recording, change, message):
    edit(recording, change)
    with pytest.raises(DatasetError, match=rf"demo\.json: {message}"):
        ManiSkillDataset(recording)[1]


def test_a_missing_or_broken_json_is_named(recording):
    recording.with_suffix(".json").write_text("{")
    with pytest.raises(DatasetError, match=r"demo\.json is not JSON"):
        ManiSkillDataset(recording)
    recording.with_suffix(".json").unlink()
    with pytest.raises(DatasetError, match=r"demo\.json: no such file; a ManiSkill \.h5 has its \.json beside it"):
        ManiSkillDataset(recording)


def test_a_truncated_file_is_named(recording):
    recording.write_bytes(recording.read_bytes()[:-1000])
    with pytest.raises(DatasetError, match=r"demo\.h5 can't be read: it is cut off"):
        ManiSkillDataset(recording)


def test_missing_actions_are_named(recording):
    with h5py.File(recording, "r+") as file:
        del file["traj_1/actions"]
    with pytest.raises(DatasetError, match=r"demo\.h5: /traj_1/actions is missing"):
        ManiSkillDataset(recording)[1]


def pushcube(make_episode, seed, **changes):
    actions = np.random.default_rng(seed).uniform(-1, 1, (4, 7)).astype(np.float32)
    return make_episode(seed, env_id="PushCube-v1", uid=f"traj_{seed}", actions=actions, **changes)


def test_written_episodes_read_back_the_same(tmp_path, make_episode):
    episodes = [pushcube(make_episode, 0), pushcube(make_episode, 1, success=False)]
    write_maniskill(tmp_path / "out.h5", iter(episodes))
    for read, written in zip(ManiSkillDataset(tmp_path / "out.h5"), episodes, strict=True):
        np.testing.assert_array_equal(read.actions, written.actions, strict=True)
        np.testing.assert_array_equal(read.state, written.state, strict=True)
        for camera in ("base", "hand"):
            np.testing.assert_array_equal(read.frames[camera][:], written.frames[camera])
        for name in ("success", "uid", "env_id", "seed", "fps"):
            assert getattr(read, name) == getattr(written, name)


def test_maniskills_own_reader_takes_what_we_write(tmp_path, make_episode):
    trajectory = pytest.importorskip("mani_skill.trajectory.dataset", exc_type=ImportError)
    episodes = [pushcube(make_episode, 0), pushcube(make_episode, 1)]
    write_maniskill(tmp_path / "out.h5", episodes)
    dataset = trajectory.ManiSkillTrajectoryDataset(str(tmp_path / "out.h5"), success_only=True)
    assert len(dataset) == 8
    row = dataset[5]
    np.testing.assert_array_equal(row["obs"]["sensor_data"]["base"]["rgb"], episodes[1].frames["base"][1])
    np.testing.assert_array_equal(row["action"], episodes[1].actions[1] * [1, 1, 1, -1, -1, -1, 1])
    assert [bool(dataset[step]["terminated"]) for step in range(4)] == [False, False, False, True]


def test_two_tasks_in_one_file_are_refused(tmp_path, make_episode):
    with pytest.raises(ValueError, match=r"one environment; got \['Fake-v1', 'PushCube-v1'\]"):
        write_maniskill(tmp_path / "out.h5", [pushcube(make_episode, 0), make_episode(1)])
    with pytest.raises(ValueError, match="got none"):
        write_maniskill(tmp_path / "out.h5", [])
    assert list(tmp_path.iterdir()) == []


# In a process of its own: the light assets change ManiSkill globally. Without them a first picture takes half a minute.
RECORDER = """
import sys
import gymnasium as gym
import mani_skill.envs
import numpy as np
from mani_skill.utils.wrappers import RecordEpisode
from feat2go.envs.maniskill import light
light.install()
env = gym.make("PushCube-v1", obs_mode="rgb", control_mode="pd_ee_delta_pose", sim_backend="physx_cpu",
               render_backend="cpu", sensor_configs={"width": 16, "height": 16})
env = RecordEpisode(env, sys.argv[1], trajectory_name="real", save_video=False)
observation, _ = env.reset(seed=3)
np.save(sys.argv[1] + "/first.npy", observation["sensor_data"]["base_camera"]["rgb"][0])
for _ in range(2):
    env.step(np.array([0.5, 0.1, -0.2, 0.3, 0.2, 0.1, -1.0], np.float32))
env.close()
"""


@pytest.mark.vulkan
def test_reads_a_real_recording(tmp_path):
    pytest.importorskip("mani_skill")
    subprocess.run([sys.executable, "-c", RECORDER, str(tmp_path)], check=True)
    (episode,) = open_dataset(tmp_path / "real.h5")
    assert (episode.env_id, episode.seed, episode.success, len(episode)) == ("PushCube-v1", 3, False, 3)
    np.testing.assert_array_equal(episode.frames["base_camera"][:1][0], np.load(tmp_path / "first.npy"))
    np.testing.assert_array_equal(episode.actions, np.tile(np.float32([0.5, 0.1, -0.2, -0.3, -0.2, -0.1, -1]), (2, 1)))
