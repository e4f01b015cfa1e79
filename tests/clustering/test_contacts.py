import itertools

import numpy as np
import pytest
import torch

from feat2go.clustering import Contacts
from feat2go.clustering.contact import turning_points
from feat2go.clustering.marks import Mark, Role, marks_of, merge
from feat2go.clustering.motion import motion_of, patch_motion
from feat2go.clustering.movers import find_movers
from feat2go.clustering.pace import paced_progress, typical_shares
from feat2go.progress import structural_progress

SIDE = 8
ON, BACK = 1, -1


def angles(directions, rest=4, length=8, before=0, after=0):
    """An angle that goes leg after leg at smooth speed, each followed by a rest."""
    speed = np.sin(np.pi * (np.arange(length) + 0.5) / length)
    steps = [0.0] * before
    for direction in directions:
        steps += [*(0.9 * direction * speed / speed.sum()), *([0.0] * rest)]
    return np.cumsum([0.0, *steps, *([0.0] * after)])


def picture(left, right=None):
    """Features (T, 64, 3) of 8 x 8 patches: 3 columns at the left turn by one angle, 3 at the right by another."""
    turned = torch.zeros(len(left), SIDE, SIDE)
    turned[:, :, :3] = torch.tensor(left, dtype=torch.float32)[:, None, None]
    if right is not None:
        turned[:, :, -3:] = torch.tensor(right, dtype=torch.float32)[:, None, None]
    flat = turned.flatten(1)
    return torch.stack([flat.cos(), flat.sin(), torch.zeros_like(flat)], -1)


def two_arms(wait):
    """The left arm reaches and goes back, then waits; the right one does so while the left one moves and waits."""
    left, right = angles([ON, BACK], after=wait + 14), angles([ON, BACK], before=wait, after=14)
    return picture(left, right)


def test_two_arms_are_two_movers():
    movers = find_movers([patch_motion(two_arms(wait)) for wait in (3, 5)])
    columns = sorted(np.flatnonzero(mover.reshape(SIDE, SIDE).any(axis=0)).tolist() for mover in movers)
    assert columns == [[0, 1, 2], [5, 6, 7]]


@pytest.mark.parametrize(
    "features",
    [
        picture(angles([ON, BACK])),
        # Two columns that move one after the other, in touch: one arm on its way.
        picture(angles([ON], after=12), angles([ON], before=12)),
        picture(np.zeros(5)),
        # Not a square grid.
        two_arms(4)[:, :60],
    ],
)
def test_one_arm_is_one_mover(features):
    (mover,) = find_movers([patch_motion(features)])
    assert mover.shape == (features.shape[1],)
    assert mover.all()


def test_a_hesitation_is_no_boundary_where_there_are_contacts():
    # Reach, descend, and back after a contact; a hesitation on the way; then further, to the end.
    motions = [motion_of(picture(angles([ON, ON, BACK, BACK, BACK])))] * 2
    onsets = [13, 25, 37, 49]
    assert turning_points(motions, [onsets] * 2) == [1]
    marks = marks_of(motions, [onsets] * 2, min_stage=2)
    assert [(mark.frames[0], mark.role) for mark in marks] == [
        (13, Role.APPROACH),
        (19, Role.CONTACT),
        (25, Role.CONTACT),
    ]


def test_without_contacts_every_rest_is_one():
    motions = [motion_of(picture(angles([ON, ON, ON])))] * 2
    marks = marks_of(motions, [[13, 25]] * 2, min_stage=2)
    assert [(mark.frames[0], mark.role) for mark in marks] == [(13, Role.REST), (25, Role.REST)]


def test_the_end_of_motion_is_kept():
    motions = [motion_of(picture(angles([ON, BACK])))] * 2
    marks = marks_of(motions, [[13, 19]] * 2, min_stage=2)
    assert [mark.role for mark in marks] == [Role.CONTACT, Role.CONTACT, Role.END]


def mark(role, *frames, strength=1.0):
    return Mark(np.array(frames), role, strength)


def test_the_most_telling_marks_are_kept():
    marks = [mark(Role.REST, 10, 10), mark(Role.CONTACT, 20, 22), mark(Role.END, 30, 30), mark(Role.APPROACH, 15, 15)]
    assert merge(marks, [40, 40], min_stage=2, max_stages=8) == [[10, 15, 20, 30], [10, 15, 22, 30]]
    assert merge(marks, [40, 40], min_stage=2, max_stages=4) == [[15, 20, 30], [15, 22, 30]]
    assert merge(marks, [40, 40], min_stage=2, max_stages=2) == [[20], [22]]
    assert merge(marks, [40, 40], min_stage=2, max_stages=1) == [[], []]


def test_marks_of_two_movers_come_in_the_same_order_in_all_episodes():
    contact = mark(Role.CONTACT, 20, 20)
    assert merge([contact, mark(Role.REST, 10, 30)], [40, 40], min_stage=2, max_stages=8) == [[20], [20]]
    assert merge([contact, mark(Role.REST, 20, 20)], [40, 40], min_stage=2, max_stages=8) == [[20], [20]]
    assert merge([contact, mark(Role.REST, 25, 30)], [40, 40], min_stage=2, max_stages=8) == [[20, 25], [20, 30]]


def test_typical_shares_are_medians():
    # Of 10 steps each: 2 and 8, 4 and 6, 5 and 5.
    np.testing.assert_allclose(typical_shares([[2], [4], [5]], [11, 11, 11]), [0.4, 0.6])
    np.testing.assert_allclose(typical_shares([[], []], [11, 5]), [1.0])


def test_progress_is_the_share_of_motion_that_is_done():
    # 4 of motion in the first stage, which has 0.4 of the progress; then a rest, then two equal steps.
    progress = paced_progress(np.array([1.0, 3.0, 0.0, 2.0, 2.0]), [2], np.array([0.4, 0.6]))
    np.testing.assert_allclose(progress, [0, 0.1, 0.4, 0.4, 0.7, 1], atol=2e-4)
    assert (np.diff(progress) > 0).all()


def test_without_motion_progress_is_time():
    np.testing.assert_allclose(paced_progress(np.zeros(4), [], np.ones(1)), [0, 0.25, 0.5, 0.75, 1])


def test_tempo_changes_neither_stages_nor_progress():
    tracks = [picture(angles([ON, BACK, BACK], rest=rest)) for rest in (3, 5, 7)]
    found = Contacts().segment_all(tracks)
    assert len({stages.num_stages for stages in found}) == 1
    targets = [structural_progress(track, own).target for track, own in zip(tracks, found, strict=True)]
    # The middle of each of the three strokes.
    middles = [[4 + leg * (8 + rest) for leg in range(3)] for rest in (3, 5, 7)]
    at_middles = torch.stack([target[frames] for target, frames in zip(targets, middles, strict=True)])
    assert float(at_middles.std(dim=0).max()) < 0.01
    for target in targets:
        assert target[0] == 0
        assert target[-1] == 1
        assert (target.diff() > 0).all()


def test_each_arm_has_its_contacts():
    tracks = [two_arms(wait) for wait in (9, 10)]
    for wait, stages in zip((9, 10), Contacts().segment_all(tracks), strict=True):
        found = stages.boundaries.tolist()
        for onset in (13, 13 + wait):
            assert min(abs(cut - onset) for cut in found) <= 1


def test_an_episode_alone_and_very_short_ones():
    alone = Contacts().segment(picture(angles([ON, BACK])))
    assert alone.num_frames == 25
    short = picture(np.array([0.0, 0.1]))
    found = Contacts().segment_all([short[:1], short, *(picture(angles([ON, BACK])) for _ in range(2))])
    assert [len(stages.progress) for stages in found] == [1, 2, 25, 25]
    assert found[0].progress.tolist() == [1]
    assert found[1].progress.tolist() == [0, 1]
    assert found[0].num_stages == found[1].num_stages == 1


def test_long_episodes_are_looked_at_in_steps():
    stages = Contacts().segment(picture(angles([ON, BACK], rest=200, length=100)))
    assert stages.num_frames == len(stages.progress) == 601
    assert all(a <= b for a, b in itertools.pairwise(stages.progress.tolist()))


def test_features_are_checked():
    with pytest.raises(ValueError, match="finite"):
        Contacts().segment(torch.full((4, 4, 2), float("nan")))


def test_a_progress_of_another_length_is_refused():
    features = picture(angles([ON]))
    stages = Contacts().segment(features)
    with pytest.raises(ValueError, match="progress of"):
        structural_progress(features, type(stages)(stages.boundaries, progress=stages.progress[1:]))
