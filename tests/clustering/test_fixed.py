import pytest
import torch

from feat2go.clustering import Single, Uniform


def cuts(clustering, num_frames):
    return clustering.segment(torch.zeros(num_frames, 2, 3)).boundaries.tolist()


def test_uniform_stages_have_equal_lengths():
    assert cuts(Uniform(num_stages=4), 12) == [0, 3, 6, 9, 12]
    assert cuts(Uniform(num_stages=4), 10) == [0, 2, 5, 7, 10]


def test_uniform_with_fewer_frames_than_stages_has_one_stage_per_frame():
    assert cuts(Uniform(num_stages=5), 3) == [0, 1, 2, 3]
    assert cuts(Uniform(num_stages=5), 1) == [0, 1]


def test_uniform_refuses_no_stages():
    with pytest.raises(ValueError, match="num_stages"):
        Uniform(num_stages=0)


def test_single_is_one_stage():
    assert cuts(Single(), 7) == [0, 7]
    assert cuts(Single(), 1) == [0, 1]
