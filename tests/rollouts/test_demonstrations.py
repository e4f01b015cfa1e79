import itertools

import numpy as np
import pytest

from feat2go.core.seeding import FIRST_ROLLOUT_INDEX, episode_seed
from feat2go.data import FolderDataset
from feat2go.rollouts import demonstrations
from feat2go.rollouts.demonstrations import collect
from feat2go.rollouts.recording import expert_episodes


def content(folder):
    return [(file.name, file.read_bytes()) for file in sorted((folder / "episodes").glob("*.h5"))]


def test_an_episode_is_what_the_expert_did(track, tmp_path):
    dataset = collect(track(3), tmp_path, num_episodes=4, progress=False)
    for index, episode in enumerate(dataset):
        num_actions = 2 + index
        assert (episode.seed, episode.uid, episode.env_id) == (index, f"Track-v1-{index}", "Track-v1")
        assert (episode.instruction, episode.fps, episode.success) == (f"slide {index}", 10.0, True)
        np.testing.assert_array_equal(episode.actions, np.tile(np.array([1, -1], np.float32), (num_actions, 1)))
        position = -0.5 * index + 0.5 * np.arange(num_actions + 1)
        np.testing.assert_array_equal(episode.state[:, 0], position.astype(np.float32))
        np.testing.assert_array_equal(episode.milestones, [0] + [1] * (num_actions - 1) + [2])
        assert list(episode.frames) == ["front", "top"]
        frames = episode.frames["front"][:]
        assert frames.shape == (num_actions + 1, 8, 8, 3)
        np.testing.assert_array_equal(frames[:, 0, 0, 0], (100 + 20 * position).astype(np.uint8))


@pytest.mark.parametrize("num_envs", [1, 2, 5, 16])
def test_the_episodes_do_not_depend_on_the_number_of_envs(track, tmp_path, num_envs):
    # First come, first served would take only the short episodes, whose seeds are 0 modulo 4.
    dataset = collect(track(num_envs), tmp_path, num_episodes=7, progress=False)
    assert [episode.seed for episode in dataset] == list(range(7))


def test_failures_are_left_out(track, tmp_path):
    dataset = collect(track(2, hopeless={1, 2}), tmp_path, num_episodes=3, progress=False)
    assert [episode.seed for episode in dataset] == [0, 3, 4]


def test_failures_are_kept_and_marked_on_request(track, tmp_path):
    dataset = collect(track(2, hopeless={1, 2}), tmp_path, num_episodes=3, keep_failures=True, progress=False)
    assert [(episode.seed, episode.success) for episode in dataset] == [
        (0, True),
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert len(dataset[1]) == 7


def test_a_second_call_goes_on(track, tmp_path):
    collect(track(3), tmp_path / "parts", num_episodes=2, progress=False)
    first = content(tmp_path / "parts")
    env = track(2)
    collect(env, tmp_path / "parts", num_episodes=5, progress=False)
    assert not {0, 1} & set(env.started)
    collect(track(4), tmp_path / "whole", num_episodes=5, progress=False)
    assert content(tmp_path / "parts")[:2] == first
    seeds = [[episode.seed for episode in FolderDataset(tmp_path / name)] for name in ("parts", "whole")]
    assert seeds[0] == seeds[1] == [0, 1, 2, 3, 4]


def test_a_complete_folder_is_left_alone(track, tmp_path):
    collect(track(2), tmp_path, num_episodes=2, progress=False)
    env = track(2)
    collect(env, tmp_path, num_episodes=2, progress=False)
    assert env.started == []


def test_an_interruption_keeps_what_is_done(track, tmp_path, monkeypatch):
    def interrupted(env, seeds):
        yield from itertools.islice(expert_episodes(env, seeds), 3)
        raise KeyboardInterrupt

    env = track(2)
    with monkeypatch.context() as patch:
        patch.setattr(demonstrations, "expert_episodes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            collect(env, tmp_path, num_episodes=5, progress=False)
    assert env.terminate_on_success is False
    assert len(FolderDataset(tmp_path)) == 3
    dataset = collect(track(2), tmp_path, num_episodes=5, progress=False)
    assert [episode.seed for episode in dataset] == [0, 1, 2, 3, 4]


def test_a_lost_simulation_leaves_no_trace(track, tmp_path):
    collect(track(2), tmp_path / "whole", num_episodes=4, progress=False)
    env = track(2, lost={(2, 3), (3, 0)})
    collect(env, tmp_path / "lost", num_episodes=4, progress=False)
    assert env.started.count(2) == env.started.count(3) == 2
    for lost, whole in zip(FolderDataset(tmp_path / "lost"), FolderDataset(tmp_path / "whole"), strict=True):
        assert lost.seed == whole.seed
        np.testing.assert_array_equal(lost.state, whole.state)
        np.testing.assert_array_equal(lost.actions, whole.actions)


def test_seeds_are_the_splits(track, tmp_path):
    dataset = collect(track(2), tmp_path, num_episodes=2, split="development", first_index=5, progress=False)
    assert [episode.seed for episode in dataset] == [episode_seed("development", 5), episode_seed("development", 6)]


def test_evaluation_seeds_are_refused(track, tmp_path):
    with pytest.raises(ValueError, match="may not use the split 'evaluation', only: train, development"):
        collect(track(2), tmp_path, num_episodes=2, split="evaluation", progress=False)


def test_two_splits_in_one_folder_are_refused(track, tmp_path):
    collect(track(2), tmp_path, num_episodes=1, split="train", progress=False)
    with pytest.raises(ValueError, match="seed 0 is from the train split, but the development demonstrations"):
        collect(track(2), tmp_path, num_episodes=1, split="development", progress=False)


def test_seeds_of_rollouts_are_refused(track, tmp_path):
    with pytest.raises(ValueError, match="its episodes below 100000000"):
        collect(track(2), tmp_path, num_episodes=2, first_index=FIRST_ROLLOUT_INDEX - 1, progress=False)


def test_an_expert_that_always_fails_is_given_up(track, tmp_path):
    with pytest.raises(RuntimeError, match="expert of Track-v1 failed in all of its first 100 episodes"):
        collect(track(2, hopeless=range(1000)), tmp_path, num_episodes=2, progress=False)


def test_without_a_terminal_progress_is_lines(track, tmp_path, capfd):
    collect(track(2, hopeless={1}), tmp_path, num_episodes=4)
    assert capfd.readouterr().err.splitlines() == [
        "collecting Track-v1: 0/4",
        "collecting Track-v1: 1/4 (0 failed)",
        "collecting Track-v1: 2/4 (1 failed)",
        "collecting Track-v1: 3/4 (1 failed)",
        "collecting Track-v1: 4/4 (1 failed)",
    ]
