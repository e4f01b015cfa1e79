import numpy as np
import pytest
import torch

from feat2go.clustering import TrendAgglomerative
from feat2go.clustering.trend_agglomerative import merge_strength


def test_the_strongest_boundary_is_where_the_trend_changes_most():
    curve = np.concatenate([np.zeros(10), np.linspace(0, 1, 10), np.linspace(1, 1.1, 10)])
    strength = merge_strength(curve)
    assert set(np.argsort(-strength)[:2].tolist()) <= {8, 10, 18, 20}
    assert (strength[[4, 14, 26]] < 0.5).all()


def test_a_straight_curve_has_no_boundaries():
    assert not merge_strength(np.linspace(0, 1, 20)).any()
    assert not merge_strength(np.ones(20)).any()
    assert not merge_strength(np.ones(1)).any()


def approach(flat, rise, seed):
    """Far from the goal for ``flat`` frames, then towards it for ``rise`` frames, then there."""
    angle = torch.cat([torch.zeros(flat), torch.linspace(0, 1.3, rise), torch.full((6,), 1.3)])
    features = torch.stack([angle.cos(), angle.sin()], -1)[:, None].repeat(1, 4, 1)
    return features + 0.002 * torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))


def test_all_episodes_of_a_task_have_the_same_stages():
    tracks = [approach(flat, rise, seed) for seed, (flat, rise) in enumerate([(10, 12), (16, 8), (8, 20), (12, 14)])]
    stages = TrendAgglomerative().segment_all(tracks)
    assert len({own.num_stages for own in stages}) == 1
    for own, (flat, _) in zip(stages, [(10, 12), (16, 8), (8, 20), (12, 14)], strict=True):
        assert min(abs(cut - flat) for cut in own.boundaries.tolist()[1:-1]) <= 4


def test_refuses_a_negative_beta():
    with pytest.raises(ValueError, match="beta"):
        TrendAgglomerative(beta=-1)
