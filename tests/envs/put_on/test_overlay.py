import numpy as np
import pytest

from feat2go.envs.put_on.overlay import compose, resized

H, W = 12, 16
RENDERED = np.full((H, W, 3), 200, np.uint8)
TABLE = np.full((H, W, 3), 40, np.uint8)
FOREGROUND = np.zeros((H, W), bool)
FOREGROUND[2:5, 3:9] = True


def test_the_table_is_behind_robot_and_objects():
    image = compose(RENDERED, FOREGROUND, TABLE)
    assert (image[FOREGROUND] == 200).all()
    assert (image[~FOREGROUND] == 40).all()
    assert image.dtype == np.uint8


@pytest.mark.parametrize("strength", [0.3, 0.5])
def test_a_texture_for_the_robot_and_objects_leaves_the_table_alone(strength):
    texture = np.full((30, 30, 3), 100, np.uint8)
    image = compose(RENDERED, FOREGROUND, TABLE, texture, "robot and objects", strength)
    assert (image[~FOREGROUND] == 40).all()
    assert (image[FOREGROUND] == round(200 * (1 - strength) + 100 * strength)).all()


def test_a_texture_for_the_robot_and_objects_fits_their_box():
    texture = np.zeros((3, 6, 3), np.uint8)
    texture[:, :3] = 100
    image = compose(RENDERED, FOREGROUND, TABLE, texture, "robot and objects", 0.5)
    # The texture has the box's size, so its pixels are not blurred.
    assert (image[2:5, 3:6] == 150).all()
    assert (image[2:5, 6:9] == 100).all()


@pytest.mark.parametrize("strength", [0.3, 0.5])
def test_a_texture_for_the_whole_picture_covers_it(strength):
    texture = np.full((30, 30, 3), 100, np.uint8)
    image = compose(RENDERED, FOREGROUND, TABLE, texture, "whole picture", strength)
    assert (image[FOREGROUND] == round(200 * (1 - strength) + 100 * strength)).all()
    assert (image[~FOREGROUND] == round(40 * (1 - strength) + 100 * strength)).all()


def test_a_texture_for_the_whole_picture_moves_as_they_do():
    texture = np.random.default_rng(0).integers(0, 256, (2 * H, 2 * W, 3), dtype=np.uint8)
    moved = np.roll(FOREGROUND, (3, 2), (0, 1))
    black = np.zeros_like(TABLE)
    first, second = (compose(black, shown, black, texture, "whole picture", 0.5) for shown in (FOREGROUND, moved))
    # Rows 2..4 and columns 3..8: the centre, rounded down, is (3, 5).
    np.testing.assert_array_equal(first, (texture[3 : 3 + H, 5 : 5 + W] * 0.5).round().astype(np.uint8))
    np.testing.assert_array_equal(second, (texture[6 : 6 + H, 7 : 7 + W] * 0.5).round().astype(np.uint8))


def test_a_picture_without_robot_and_objects_is_the_table():
    nothing = np.zeros((H, W), bool)
    texture = np.full((30, 30, 3), 100, np.uint8)
    assert (compose(RENDERED, nothing, TABLE, texture, "robot and objects", 0.5) == 40).all()
    assert (compose(RENDERED, nothing, TABLE, texture, "whole picture", 0.5) == 70).all()


def test_resizing_keeps_a_plain_picture_and_averages_when_it_shrinks():
    assert (resized(TABLE, (5, 7)) == 40).all()
    checks = np.zeros((8, 8, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 200
    small = resized(checks, (2, 2)).astype(int)
    assert (abs(small - 100) <= 10).all()
