import numpy as np
import pytest
import torch

from feat2go.clustering import Strokes
from feat2go.clustering.contact import add_contacts, turn
from feat2go.clustering.motion import motion_of

STRAIGHT_ON, BACK = 1, -1


def legs(directions, rest=4, length=8):
    """A patch that turns by an angle, leg after leg, each at smooth speed and followed by a rest."""
    angles, now = [0.0], 0.0
    for direction in directions:
        speed = np.sin(np.pi * (np.arange(length) + 0.5) / length)
        for step in 0.9 * direction * speed / speed.sum():
            now += step
            angles.append(now)
        angles += [now] * rest
    angle = torch.tensor(angles)
    return torch.stack([angle.cos(), angle.sin()], -1)[:, None]


# Frame 0, 8 frames of motion, 4 of rest: frame 13 is the first that has moved again.
ONSET = 13
# A leg's last step is so small that frame 7 counts as the first at rest.
AT_REST = 7


def test_turn_tells_the_way_back_from_the_way_on():
    assert turn(motion_of(legs([1, BACK])), ONSET) < 0.1
    assert turn(motion_of(legs([1, STRAIGHT_ON])), ONSET) > 1.5


def test_other_patches_add_up():
    first, second = legs([1]), legs([1])
    still = torch.zeros_like(first)
    still[..., 0] = 1
    moves_one_patch = torch.cat([first, still], 1)
    then_another = torch.cat([first[-1:].expand_as(second), second], 1)
    features = torch.cat([moves_one_patch, then_another[1:]])
    assert turn(motion_of(features), ONSET) == pytest.approx(2, abs=0.01)


def test_a_turn_with_nothing_before_it_is_none():
    assert turn(motion_of(legs([1, BACK])), 1) == 2


def test_a_rest_at_a_turning_point_is_a_stage_of_its_own():
    motions = [motion_of(legs([1, BACK, BACK]))] * 2
    # The second rest is a hesitation, and no boundary to begin with.
    assert add_contacts(motions, [[ONSET]] * 2, min_stage=2, max_stages=8) == [[AT_REST, ONSET]] * 2


def test_a_hesitation_is_left_alone():
    motions = [motion_of(legs([1, STRAIGHT_ON]))] * 2
    assert add_contacts(motions, [[ONSET]] * 2, min_stage=2, max_stages=8) == [[ONSET]] * 2


def test_most_episodes_decide():
    motions = [motion_of(legs(directions)) for directions in ([1, BACK], [1, BACK], [1, STRAIGHT_ON])]
    assert add_contacts(motions, [[ONSET]] * 3, min_stage=2, max_stages=8) == [[AT_REST, ONSET]] * 3


@pytest.mark.parametrize(("min_stage", "max_stages"), [(2, 2), (9, 8)])
def test_there_may_be_no_room(min_stage, max_stages):
    motions = [motion_of(legs([1, BACK]))]
    assert add_contacts(motions, [[ONSET]], min_stage, max_stages) == [[ONSET]]


def test_a_turning_point_takes_the_place_of_a_rest():
    motions = [motion_of(legs([1, STRAIGHT_ON, BACK]))] * 2
    both = [[ONSET, ONSET + 12]] * 2
    assert add_contacts(motions, both, min_stage=2, max_stages=4) == [[ONSET, AT_REST + 12, ONSET + 12]] * 2
    assert add_contacts(motions, both, min_stage=2, max_stages=3) == [[AT_REST + 12, ONSET + 12]] * 2
    assert add_contacts(motions, both, min_stage=2, max_stages=2) == [[ONSET + 12]] * 2


def test_boundaries_keep_their_distance():
    motions = [motion_of(legs([1, BACK]))]
    found = add_contacts(motions, [[7, ONSET]], min_stage=6, max_stages=8)
    assert len(found[0]) == 3
    assert all(np.diff([0, *found[0], 25]) >= 6)


def test_a_stroke_that_success_cuts_off_is_halved():
    motions = [motion_of(legs([1, STRAIGHT_ON], rest=4)[:19])] * 2
    # Frames 13 to 18 are of the second leg, the fastest in its middle.
    ((start, middle), _) = add_contacts(motions, [[ONSET]] * 2, min_stage=2, max_stages=8)
    assert start == ONSET
    assert middle == 16


def test_strokes_finds_the_same_contacts_in_all_episodes():
    tracks = [legs([1, BACK, BACK], rest=rest) for rest in (3, 4, 5)]
    jitter = torch.Generator().manual_seed(0)
    tracks = [track + 0.002 * torch.randn(track.shape, generator=jitter) for track in tracks]
    for rest, stages in zip((3, 4, 5), Strokes().segment_all(tracks), strict=True):
        found = stages.boundaries.tolist()[1:3]
        assert abs(found[0] - AT_REST) <= 1
        assert abs(found[1] - (9 + rest)) <= 1
