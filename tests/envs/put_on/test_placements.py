import numpy as np
import pytest

from feat2go.envs.put_on.placements import (
    UNSEEN_YAWS,
    YAWS,
    joint_offsets,
    pairs,
    ring_pairs,
    triples_with_far_objects,
    triples_with_far_receptacles,
)


def distances(positions, a, b):
    """In whole millimetres, so that 15 cm are 15 cm."""
    return np.linalg.norm(positions[:, a] - positions[:, b], axis=1).round(6)


@pytest.mark.parametrize(
    ("positions", "shape"),
    [
        (pairs(), (784, 2, 2)),
        (ring_pairs(), (628, 2, 2)),
        (triples_with_far_objects(), (1896, 3, 2)),
        (triples_with_far_receptacles(), (1896, 3, 2)),
    ],
)
def test_there_are_as_many_as_in_the_paper_and_no_two_alike(positions, shape):
    assert positions.shape == shape
    assert len(np.unique(positions.reshape(len(positions), -1).round(6), axis=0)) == len(positions)
    assert (distances(positions, 0, 1) > 0.07).all()


def test_the_grid_is_six_by_six_with_a_pitch_of_three_centimetres():
    points = np.unique(pairs().reshape(-1, 2).round(6), axis=0)
    assert len(points) == 36
    for axis, centre in enumerate((-0.16, 0.0)):
        expected = centre + np.array([-0.075, -0.045, -0.015, 0.015, 0.045, 0.075])
        np.testing.assert_allclose(np.unique(points[:, axis]), expected, atol=1e-9)


def test_the_ring_lies_one_pitch_outside_of_the_grid_and_shares_no_point_with_it():
    points = np.unique(ring_pairs().reshape(-1, 2).round(6), axis=0)
    assert len(points) == 28
    outside = np.abs(points - (-0.16, 0.0)).max(axis=1)
    np.testing.assert_allclose(outside, 0.105, atol=1e-9)
    grid = {tuple(point) for point in pairs().reshape(-1, 2).round(6)}
    assert not grid & {tuple(point) for point in points}


def test_what_is_far_apart_is_more_than_fifteen_centimetres_apart():
    objects, receptacles = triples_with_far_objects(), triples_with_far_receptacles()
    assert (distances(objects, 0, 2) > 0.15).all()
    assert (distances(objects, 2, 1) > 0.07).all()
    assert (distances(receptacles, 1, 2) > 0.15).all()
    assert (distances(receptacles, 2, 0) > 0.07).all()


def test_yaws_do_not_overlap():
    assert np.rad2deg(YAWS).tolist() == pytest.approx([0, 45, 90, 135])
    assert np.rad2deg(UNSEEN_YAWS).tolist() == pytest.approx([-22.5, -67.5, -112.5, -157.5])


def test_joint_offsets_keep_the_arm_above_the_table_and_one_is_the_training_pose():
    offsets = joint_offsets()
    assert offsets.shape == (14375, 6)
    assert len(np.unique(offsets, axis=0)) == len(offsets)
    assert np.unique(offsets[:, :5]).tolist() == [-0.15, -0.08, 0, 0.08, 0.15]
    assert np.unique(offsets[:, 5]).tolist() == [-0.6, -0.3, 0, 0.3, 0.6]
    assert (np.abs(offsets[:, 1] + offsets[:, 2]) <= 0.25).all()
    assert (offsets == 0).all(axis=1).sum() == 1
