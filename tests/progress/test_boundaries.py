import pytest

from feat2go.progress import boundary_f1


def test_counts_matches_within_the_tolerance():
    # 10 and 21 match, 40 doesn't: precision 2/3, recall 2/2.
    assert boundary_f1([10, 21, 40], [9, 22], tolerance=1) == pytest.approx(0.8)
    assert boundary_f1([10, 21, 40], [9, 22], tolerance=0) == 0
    assert boundary_f1([9, 22], [22, 9], tolerance=0) == 1


def test_a_boundary_is_matched_once():
    assert boundary_f1([9, 10, 11], [10], tolerance=2) == pytest.approx(0.5)


def test_matches_as_many_as_can_be():
    # Taking the nearest first, 12-11, would leave 9 and 14 alone.
    assert boundary_f1([9, 12], [11, 14], tolerance=2) == 1


def test_no_boundaries():
    assert boundary_f1([], [], tolerance=2) == 1
    assert boundary_f1([3], [], tolerance=2) == 0
    assert boundary_f1([], [3], tolerance=2) == 0


def test_refuses_a_negative_tolerance():
    with pytest.raises(ValueError, match="tolerance"):
        boundary_f1([1], [1], tolerance=-1)
