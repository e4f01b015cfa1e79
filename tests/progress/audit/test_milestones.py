import numpy as np
import pytest

from feat2go.core.types import Episode
from feat2go.progress.audit import motion_phases, read_milestones, simulator_milestones

LENGTHS = {"traj_0": 10, "traj_7": 20}


def write(tmp_path, text):
    path = tmp_path / "milestones.csv"
    path.write_text(text)
    return path


def test_an_episode_is_named_by_uid_or_number(tmp_path):
    path = write(tmp_path, "milestone,episode,frame\ngrasped,traj_0,3\nplaced,traj_0,7\ngrasped,1,12\nplaced,7,15\n")
    assert read_milestones(path, LENGTHS) == {
        "traj_0": {"grasped": 3, "placed": 7},
        "traj_7": {"grasped": 12, "placed": 15},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("episode,frame\ntraj_0,3\n", "column 'milestone' is missing; found episode, frame"),
        ("", "column 'episode' is missing"),
        ("episode,frame,milestone\n", "no milestones in it"),
        ("episode,frame,milestone\ntraj_9,3,a\n", r"line 2: column 'episode' is 'traj_9', but the dataset has 2"),
        ("episode,frame,milestone\n5,3,a\n", r"line 2: column 'episode' is '5'"),
        ("episode,frame,milestone\ntraj_0,x,a\n", r"line 2: column 'frame' is 'x', not a whole number"),
        (
            "episode,frame,milestone\ntraj_0,10,a\n",
            r"line 2: column 'frame' is 10, but the episode has the frames 0 to 9",
        ),
        ("episode,frame,milestone\ntraj_0,-1,a\n", r"column 'frame' is -1"),
        ("episode,frame,milestone\ntraj_0,1,\n", r"column 'milestone' is empty"),
        (
            "episode,frame,milestone\ntraj_0,1,a\n0,2,a\n",
            r"line 3: milestone 'a' of episode 'traj_0' has a row already",
        ),
        ("episode,frame,milestone\ntraj_0\n", r"column 'milestone' is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_milestones(write(tmp_path, text), LENGTHS)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="episode, frame, milestone"):
        read_milestones(tmp_path / "no.csv", LENGTHS)


def test_of_the_simulator():
    frames = {"base": np.zeros((6, 4, 4, 3), np.uint8)}
    milestones = np.array([0, 0, 1, 3, 3, 4])
    episode = Episode(frames, "", np.zeros((5, 7)), None, True, milestones, "a", "b", 0, 10.0)
    found = simulator_milestones(episode)
    assert found == {"milestone 1": 2, "milestone 2": 3, "milestone 3": 3, "milestone 4": 5}


def test_phases_of_the_motion():
    actions = np.zeros((12, 7))
    actions[:, -1] = 1
    actions[0:4, 0] = 1.0
    actions[4:7, -1] = actions[7:, -1] = -1
    actions[7:, 2] = 0.8
    # The gripper closes at 4, the arm sets off again at 7.
    assert motion_phases(actions) == {"gripper 1": 4, "motion 1": 7}
    assert motion_phases(actions[:1]) == {}
    assert motion_phases(np.zeros((5, 7))) == {}
