import itertools
import sys

import pytest
import torch

from feat2go.clustering import UVD, Pelt


def corners(*points, steps=12):
    """Straight ways between points of the plane, ``steps`` frames each, one patch."""
    ends = torch.tensor(points, dtype=torch.float32)
    parts = [a + (b - a) * torch.arange(steps)[:, None] / steps for a, b in itertools.pairwise(ends)]
    return torch.cat([*parts, ends[-1:]])[:, None]


def test_uvd_finds_where_the_way_to_the_goal_turns():
    # Away from the goal for 12 frames, then towards it: the distance peaks at frame 12, the last of the first stage.
    features = corners((0.0, 0.0), (-3.0, 1.0), (3.0, 0.0))
    boundaries = UVD().segment(features).boundaries.tolist()
    assert len(boundaries) == 3
    assert abs(boundaries[1] - 13) <= 1


def test_uvd_stops_where_asked():
    features = corners((0.0, 0.0), (-3.0, 1.0), (3.0, 0.0), (-2.0, -1.0), (4.0, 0.0))
    assert UVD().segment(features).num_stages > 2
    assert UVD(max_stages=2).segment(features).num_stages == 2
    assert UVD(max_stages=1).segment(features).num_stages == 1
    assert UVD(min_interval=30).segment(features).num_stages == 1


def levels(*counts):
    """One-hot patches that stay as they are for ``counts`` frames each."""
    return torch.cat([torch.eye(len(counts))[k].repeat(count, 2, 1) for k, count in enumerate(counts)])


def test_pelt_finds_changes():
    assert Pelt().segment(levels(6, 9, 4)).boundaries.tolist() == [0, 6, 15, 19]
    assert Pelt(penalty=1.0).segment(levels(6, 9, 4)).num_stages == 1


def test_pelt_with_a_given_number():
    assert Pelt(num_stages=2).segment(levels(6, 9)).boundaries.tolist() == [0, 6, 15]
    assert Pelt(num_stages=3).segment(levels(6, 9)).num_stages == 3
    assert Pelt(num_stages=9).segment(levels(2, 2)).num_stages == 2


def test_pelt_without_ruptures(monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'feat2go\[audit\]'"):
        Pelt()


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (UVD, {"min_interval": 0}),
        (UVD, {"gamma": 0.0}),
        (UVD, {"max_stages": 0}),
        (Pelt, {"penalty": -1.0}),
        (Pelt, {"num_stages": 0}),
        (Pelt, {"min_stage": 0}),
    ],
)
def test_refuses_numbers_out_of_range(cls, options):
    with pytest.raises(ValueError, match="must"):
        cls(**options)
