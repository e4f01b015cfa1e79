import numpy as np
import pytest
import torch

from feat2go.clustering import Strokes
from feat2go.clustering.alignment import Evidence, Weights, common_boundaries, strongest_boundaries
from feat2go.clustering.motion import boundary_strength, ends_in_motion, motion_of, principal_directions

# Three legs of a task, each in a feature plane of its own, whose patches turn as the leg goes on.
LEGS = 3


def episode(lengths, rests, seed=0, noise=0.002):
    """Legs of ``lengths`` frames at smooth speed, each followed by a rest of ``rests`` frames."""
    angles, now = [np.zeros(LEGS)], np.zeros(LEGS)
    for leg, (length, rest) in enumerate(zip(lengths, rests, strict=True)):
        speed = np.sin(np.pi * (np.arange(length) + 0.5) / length)
        for step in 1.2 * speed / speed.sum():
            now = now.copy()
            now[leg] += step
            angles.append(now)
        angles += [now] * rest
    angle = torch.tensor(np.array(angles)).float()
    patches = torch.stack([angle.cos(), angle.sin()], -1)
    features = torch.zeros(len(angles), LEGS, 2 * LEGS)
    for leg in range(LEGS):
        features[:, leg, 2 * leg : 2 * leg + 2] = patches[:, leg]
    jitter = torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
    return (features + noise * jitter).half()


def test_an_episode_alone_is_cut_where_strokes_set_off_and_where_the_last_one_ends():
    features = episode((8, 8, 8), (4, 4, 4))
    boundaries = Strokes().segment(features).boundaries.tolist()
    # Frame 0, 8 frames of motion, 4 of rest: the second stroke's first frame is 13, the third's 25; it ends at 32.
    assert len(boundaries) == 5
    for found, expected in zip(boundaries, [0, 13, 25, 32, 37], strict=True):
        assert abs(found - expected) <= 1


def test_all_episodes_of_a_task_have_the_same_stages():
    tempos = [((8, 8, 8), (4, 4, 4)), ((14, 6, 9), (2, 9, 3)), ((6, 15, 7), (8, 2, 5)), ((9, 9, 16), (3, 3, 3))]
    tracks = [episode(*tempo, seed=seed) for seed, tempo in enumerate(tempos)]
    for (lengths, rests), stages in zip(tempos, Strokes().segment_all(tracks), strict=True):
        second = 1 + lengths[0] + rests[0]
        third = second + lengths[1] + rests[1]
        found = stages.boundaries.tolist()
        assert len(found) == 5
        # A slow stroke has hardly moved in its first frames.
        assert second - 1 <= found[1] <= second + 3
        assert third - 1 <= found[2] <= third + 3


def test_a_hesitation_is_no_stage():
    usual = [((8, 8, 8), (4, 4, 4))] * 4
    tracks = [episode(*tempo, seed=seed) for seed, tempo in enumerate(usual)]
    # The fifth stops for 5 frames in the middle of its first leg.
    plain = episode((8, 8, 8), (4, 4, 4), seed=9)
    tracks.append(torch.cat([plain[:5], plain[4:5].repeat(5, 1, 1), plain[5:]]))
    assert Strokes().segment(tracks[-1]).num_stages == 5
    boundaries = Strokes().segment_all(tracks)[-1].boundaries.tolist()
    assert len(boundaries) == 5
    for found, expected in zip(boundaries, [0, 18, 30, 37, 42], strict=True):
        assert abs(found - expected) <= 1


def test_very_short_episodes_have_no_say():
    tracks = [episode((8, 8, 8), (4, 4, 4), seed=seed) for seed in range(3)]
    stages = Strokes().segment_all([*tracks, tracks[0][:3], tracks[0][:1]])
    assert [own.num_stages for own in stages] == [4, 4, 4, 1, 1]


def test_long_episodes_are_looked_at_in_fewer_frames():
    stages = Strokes().segment(episode((240, 240, 240), (120, 120, 120), noise=0))
    assert stages.num_frames == 3 * 360 + 1
    for found, expected in zip(stages.boundaries.tolist()[1:3], [361, 721], strict=True):
        assert expected <= found <= expected + 60


def test_nothing_moves():
    tracks = [torch.ones(12, 4, 8), torch.ones(9, 4, 8)]
    assert [own.num_stages for own in Strokes().segment_all(tracks)] == [1, 1]
    assert Strokes().segment_all([]) == []


def test_motion_is_the_mean_patch_distance():
    features = torch.zeros(3, 2, 2)
    features[:, 0, 0] = 1
    features[0, 1, 0] = features[1, 1, 0] = features[2, 1, 1] = 1
    motion = motion_of(features)
    np.testing.assert_allclose(motion.amount, [0, 0.5])
    np.testing.assert_allclose(motion.moving[1], [0, 0.5])
    np.testing.assert_allclose(motion.similarity, [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])


def test_strength_is_how_much_deeper_a_rest_is_than_the_strokes_around_it():
    features = episode((8, 8, 8), (4, 4, 4))
    strength = boundary_strength(motion_of(features))
    assert set(np.flatnonzero(strength > 1).tolist()) <= {12, 13, 14, 24, 25, 26, 31, 32, 33}
    assert strength.max() <= 2.5


def test_boundaries_follow_the_other_episodes_where_their_own_strength_is_in_doubt():
    def own(frames, num_frames=20):
        strength = np.zeros(num_frames)
        strength[frames] = 1.0
        time = np.linspace(0, 1, num_frames)[:, None]
        return Evidence(strength, time, np.cumsum(np.ones((num_frames, 1)), axis=0))

    episodes = [own([10]), own([10]), own([10]), own([3, 10])]
    assert common_boundaries(episodes, 1, Weights(position=8, change=0), min_stage=2) == [[10]] * 4


def test_strongest_boundaries():
    evidence = Evidence(np.array([0, 0, 2, 1.5, 0, 0, 1, 0.1, 0, 3.0]), np.zeros((10, 1)), np.zeros((10, 1)))
    # 3 is too near to 2, 9 to the end, and 7 too weak.
    assert strongest_boundaries(evidence, 0.9, min_stage=2, max_stages=5) == [2, 6]
    assert strongest_boundaries(evidence, 0.9, min_stage=2, max_stages=2) == [2]


@pytest.mark.parametrize(
    "options", [{"min_stage": 0}, {"min_stages": 0}, {"min_stages": 9}, {"strong": -1}, {"change": float("inf")}]
)
def test_refuses_numbers_out_of_range(options):
    with pytest.raises(ValueError, match="must"):
        Strokes(**options)


def test_where_episodes_end_in_motion_their_last_stroke_is_halved():
    # The last leg goes on at full speed when the episode is over.
    tempos = [((9, 9, 10), (4, 4, 0)), ((12, 9, 12), (2, 6, 0)), ((9, 10, 11), (5, 3, 0))]
    tracks = [episode(*tempo, seed=seed)[:-3] for seed, tempo in enumerate(tempos)]
    for (lengths, rests), track, stages in zip(tempos, tracks, Strokes().segment_all(tracks), strict=True):
        found = stages.boundaries.tolist()
        assert len(found) == 5
        third = 1 + sum(lengths[:2]) + sum(rests[:2])
        assert third - 1 <= found[2] <= third + 3
        amount = motion_of(track).amount
        path = np.concatenate([[0], np.cumsum(np.sqrt(amount))])
        share = (path[found[3]] - path[found[2]]) / (path[-1] - path[found[2]])
        assert 0.35 < share < 0.65


def test_ends_in_motion():
    whole = motion_of(episode((8, 8, 10), (4, 4, 4)))
    assert not ends_in_motion(whole)
    assert ends_in_motion(motion_of(episode((8, 8, 10), (4, 4, 0))[:-3]))
    assert not ends_in_motion(motion_of(torch.ones(5, 2, 4)))


def test_a_last_stroke_without_room_is_left_whole():
    tracks = [episode((8, 8, 10), (4, 4, 0), seed=seed)[:-3] for seed in range(2)]
    assert [own.num_stages for own in Strokes().segment_all(tracks)] == [4, 4]
    assert Strokes(max_stages=3).segment_all(tracks)[0].num_stages == 3
    assert [own.num_stages for own in Strokes(min_stage=9).segment_all(tracks)] == [3, 3]


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (5, 12), (12, 5)])
def test_principal_directions_are_those_of_the_decomposition(shape):
    rng = np.random.default_rng(0)
    # Rows of few dimensions, seen in many.
    rows = rng.standard_normal((shape[0], 4)) @ rng.standard_normal((4, shape[1]))
    expected = np.linalg.svd(rows, full_matrices=False)[2][:4]
    found = principal_directions(rows)
    np.testing.assert_allclose(found.T @ found, expected.T @ expected, atol=1e-9)
    assert principal_directions(np.zeros(shape)).shape == (0, shape[1])
