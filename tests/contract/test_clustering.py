"""What every registered clustering owes its callers."""

import pytest
import torch

from feat2go.core.protocols import Clustering
from feat2go.core.types import Stages
from feat2go.registry import CLUSTERING


@pytest.fixture(params=CLUSTERING.names())
def clustering(request):
    return CLUSTERING.get(request.param)()


def random_walk(num_frames):
    steps = torch.randn(num_frames, 4, 8, generator=torch.Generator().manual_seed(1))
    return steps.cumsum(0)


def test_satisfies_the_protocol(clustering):
    assert isinstance(clustering, Clustering)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 5, 40])
def test_cuts_every_frame_into_exactly_one_stage(clustering, num_frames, dtype):
    stages = clustering.segment(random_walk(num_frames).to(dtype))
    assert isinstance(stages, Stages)
    assert stages.boundaries.dtype == torch.int64
    assert stages.boundaries[0] == 0
    assert stages.num_frames == num_frames
    assert (stages.boundaries.diff() > 0).all()
    for curve in (stages.curve, stages.slope):
        assert len(curve) in (0, num_frames)


def test_constant_features_make_stages_too(clustering):
    assert clustering.segment(torch.ones(12, 4, 8)).num_frames == 12
    assert clustering.segment(torch.zeros(12, 4, 8)).num_frames == 12


def test_is_a_function_of_the_features(clustering):
    features = random_walk(30)
    kept = features.clone()
    first, second = clustering.segment(features), clustering.segment(features)
    assert torch.equal(first.boundaries, second.boundaries)
    assert torch.equal(features, kept)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_refuses_what_is_not_finite(clustering, bad):
    features = random_walk(6)
    features[3, 0, 0] = bad
    with pytest.raises(ValueError, match="finite"):
        clustering.segment(features)


def test_refuses_no_features(clustering):
    with pytest.raises(ValueError, match="empty"):
        clustering.segment(torch.zeros(0, 4, 8))
    with pytest.raises(ValueError, match=r"\(T, P, D\)"):
        clustering.segment(torch.zeros(6, 8))
