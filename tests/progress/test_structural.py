import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from feat2go.core.types import Stages
from feat2go.progress import patch_similarity, structural_progress


def random_features(num_frames, seed=0):
    return torch.randn(num_frames, 3, 5, generator=torch.Generator().manual_seed(seed))


def at_angles(*cosines):
    """Unit vectors (T, 1, 2) with these cosines to the x axis."""
    x = torch.tensor(cosines, dtype=torch.float64)
    return torch.stack([x, (1 - x**2).sqrt()], dim=-1)[:, None].float()


def reference(features, boundaries, beta, scope):
    """Written out stage by stage in float64."""
    num_stages = len(boundaries) - 1
    stages = [np.arange(a, b) for a, b in itertools.pairwise(boundaries)]
    raw = [patch_similarity(features[stage], features[stage[-1]], beta).double().numpy() for stage in stages]
    everything = np.concatenate(raw)
    target = []
    for n, similarity in enumerate(raw):
        over = similarity if scope == "stage" else everything
        low, high = over.min(), over.max()
        for s in similarity:
            inside = (s - low) / (high - low) if high - low > 1e-6 else 1.0
            target.append(n / num_stages + inside / num_stages)
    return torch.tensor(target, dtype=torch.float32)


def test_hand_worked_value_of_one_stage():
    # Similarities to the last frame 0.2, 0.6, 0.4, 1: min-max 0, 0.5, 0.25, 1.
    track = structural_progress(at_angles(0.2, 0.6, 0.4, 1.0), Stages.from_boundaries([0, 4]))
    torch.testing.assert_close(track.similarity, torch.tensor([0.2, 0.6, 0.4, 1.0]))
    torch.testing.assert_close(track.target, torch.tensor([0.0, 0.5, 0.25, 1.0]))
    assert track.stage.tolist() == [0, 0, 0, 0]


def test_hand_worked_value_of_two_stages():
    # Frame 2 is the goal of the first stage; the second is at 0.8 of its own goal before it gets there.
    features = torch.cat([at_angles(0.0, 0.5, 1.0), at_angles(0.8, 0.9, 1.0)])
    stages = Stages.from_boundaries([0, 3, 6])
    track = structural_progress(features, stages)
    assert track.stage.tolist() == [0, 0, 0, 1, 1, 1]
    torch.testing.assert_close(track.similarity, torch.tensor([0.0, 0.5, 1.0, 0.8, 0.9, 1.0]))
    torch.testing.assert_close(track.target, torch.tensor([0.0, 0.25, 0.5, 0.5, 0.75, 1.0]))
    over_the_episode = structural_progress(features, stages, scope="episode")
    torch.testing.assert_close(over_the_episode.target, torch.tensor([0.0, 0.25, 0.5, 0.9, 0.95, 1.0]))


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 1000),
    cuts=st.sets(st.integers(1, 19)),
    beta=st.sampled_from([0.0, 0.1]),
    scope=st.sampled_from(["stage", "episode"]),
    dtype=st.sampled_from([torch.float16, torch.float32]),
)
def test_agrees_with_the_formula_and_stays_in_range(seed, cuts, beta, scope, dtype):
    features = random_features(20, seed).to(dtype)
    boundaries = [0, *sorted(cuts), 20]
    stages = Stages.from_boundaries(boundaries)
    track = structural_progress(features, stages, beta, scope)
    assert track.target.dtype == track.similarity.dtype == torch.float32
    assert (track.target >= 0).all()
    assert (track.target <= 1).all()
    assert track.target[-1] == 1
    ends = torch.arange(1, stages.num_stages + 1) / stages.num_stages
    torch.testing.assert_close(track.target[stages.last_frames], ends, rtol=1e-6, atol=0)
    torch.testing.assert_close(track.target, reference(features, boundaries, beta, scope), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scope", ["stage", "episode"])
def test_a_single_frame_is_done(scope):
    track = structural_progress(random_features(1), Stages.from_boundaries([0, 1]), scope=scope)
    assert track.target.tolist() == [1.0]


def test_stages_of_one_frame_are_steps():
    target = structural_progress(random_features(4), Stages.from_boundaries([0, 1, 2, 3, 4])).target
    assert target.tolist() == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("scope", ["stage", "episode"])
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_constant_features_look_like_their_subgoal(scope, value):
    features = torch.full((6, 3, 5), value)
    target = structural_progress(features, Stages.from_boundaries([0, 2, 6]), scope=scope).target
    assert target.tolist() == [0.5, 0.5, 1.0, 1.0, 1.0, 1.0]


def test_rounding_noise_is_not_stretched_over_a_stage():
    features = torch.ones(6, 3, 5)
    features[::2] += 1e-6
    assert structural_progress(features, Stages.from_boundaries([0, 6])).target.tolist() == [1.0] * 6


def test_a_setback_lowers_the_target_inside_its_stage():
    target = structural_progress(at_angles(0.1, 0.7, 0.3, 1.0), Stages.from_boundaries([0, 4])).target
    assert target[2] < target[1]


def test_refuses_what_does_not_fit():
    features = random_features(5)
    stages = Stages.from_boundaries([0, 5])
    with pytest.raises(ValueError, match="cover 4 frames, but there are features of 5"):
        structural_progress(features, Stages.from_boundaries([0, 4]))
    with pytest.raises(ValueError, match="'stage' or 'episode'; got 'global'"):
        structural_progress(features, stages, scope="global")
    with pytest.raises(ValueError, match="beta"):
        structural_progress(features, stages, beta=-1)
    with pytest.raises(ValueError, match="empty"):
        structural_progress(torch.zeros(0, 3, 5), stages)
    features[2, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        structural_progress(features, stages)
