"""The physics of the tabletop, on tables laid by hand."""

import math

import numpy as np
import pytest

from feat2go.envs.tabletop.dynamics import GRIPPER_LOW, STEP_M, TURN_RAD, advance
from feat2go.envs.tabletop.kinds import OBJECTS, RECEPTACLES
from feat2go.envs.tabletop.scene import Item, Scene
from feat2go.envs.tabletop.task import milestone, succeeded
from feat2go.envs.tabletop.world import MAX_OPENING, NOTHING, World

GRASP_HEIGHT = 0.014
OPEN, CLOSE = 1.0, -1.0


def lay(objects, receptacles=(("plate", 0.0, 0.18),), gripper=(0.0, 0.0, 0.12), yaw=0.0):
    """One table; things are (kind, x, y) or (kind, x, y, yaw)."""

    def items(table, things):
        return [Item(t[0], table[t[0]], (255, 0, 0), np.array(t[1:3]), t[3] if len(t) > 3 else 0.0) for t in things]

    world = World.zeros(1, len(objects), len(receptacles))
    world.place(0, Scene(items(OBJECTS, objects), items(RECEPTACLES, receptacles), np.array(gripper), yaw, ""))
    return world


def act(world, num_actions=1, dx=0.0, dy=0.0, dz=0.0, yaw=0.0, gripper=0.0):
    for _ in range(num_actions):
        advance(world, np.array([[dx, dy, dz, 0.0, 0.0, yaw, gripper]]))


def move_to(world, x, y, z):
    """Straight to a point, at full speed, leaving the fingers as they are."""
    for _ in range(20):
        delta = np.clip((np.array([x, y, z]) - world.gripper[0]) / STEP_M, -1, 1)
        act(world, dx=delta[0], dy=delta[1], dz=delta[2])


def grasp(world):
    move_to(world, *world.objects.position[0, 0, :2], GRASP_HEIGHT)
    act(world, 2, gripper=CLOSE)


def release_at(world, x, y, z):
    move_to(world, x, y, 0.12)
    move_to(world, x, y, z)
    act(world, 2, gripper=OPEN)


def test_an_action_of_one_is_a_step():
    world = lay([("cube", 0.1, 0.1)])
    act(world, dx=1.0, dy=-0.5, dz=0.5, yaw=1.0)
    np.testing.assert_allclose(world.gripper[0], [STEP_M, -0.5 * STEP_M, 0.12 + 0.5 * STEP_M], atol=1e-12)
    np.testing.assert_allclose(world.yaw, TURN_RAD, atol=1e-12)


def test_closing_around_an_object_grasps_it_and_it_goes_along():
    world = lay([("cube", 0.05, 0.02)])
    grasp(world)
    assert world.held[0] == 0
    np.testing.assert_allclose(world.opening, 0.048, atol=1e-9)
    act(world, 2, dx=1.0, dz=1.0, gripper=CLOSE)
    np.testing.assert_allclose(world.objects.position[0, 0], world.gripper[0] + [0, 0, 0.024 - GRASP_HEIGHT], atol=1e-9)
    assert world.objects.bottom[0, 0] > 0.09


@pytest.mark.parametrize("offset", [(0.06, 0.0, 0.0), (0.0, 0.0, 0.05)], ids=["beside", "above"])
def test_closing_elsewhere_grasps_nothing(offset):
    world = lay([("cube", 0.05, 0.0)], gripper=(0.05 + offset[0], offset[1], GRASP_HEIGHT + offset[2]))
    act(world, 3, gripper=CLOSE)
    assert world.held[0] == NOTHING
    np.testing.assert_allclose(world.opening, 0.0, atol=1e-9)


def test_closed_fingers_do_not_grasp_what_they_come_down_on():
    world = lay([("cube", 0.0, 0.0)])
    act(world, 3, gripper=CLOSE)
    act(world, 4, dz=-1.0, gripper=CLOSE)
    assert world.held[0] == NOTHING


def test_an_object_held_turns_with_the_gripper():
    world = lay([("cube", 0.05, 0.0)])
    grasp(world)
    act(world, 2, dz=1.0)
    act(world, 2, yaw=1.0)
    np.testing.assert_allclose(world.objects.yaw[0, 0], 2 * TURN_RAD, atol=1e-9)


@pytest.mark.parametrize(("yaw", "fits"), [(0.0, True), (0.5, True), (math.pi / 2, False)])
def test_a_bar_fits_between_the_fingers_only_if_the_yaw_does(yaw, fits):
    world = lay([("bar", 0.0, 0.0)], yaw=yaw)
    grasp(world)
    assert (world.held[0] == 0) == fits


def test_a_gripper_that_moves_low_knocks_an_object_away():
    world = lay([("cube", 0.06, 0.0)], gripper=(-0.02, -0.055, GRASP_HEIGHT))
    act(world, 3, dx=1.0)
    assert world.objects.position[0, 0, 0] > 0.12
    assert world.held[0] == NOTHING


def test_a_gripper_that_moves_high_touches_nothing():
    world = lay([("cube", 0.06, 0.0)], gripper=(-0.02, -0.055, 0.06))
    before = world.objects.position.copy()
    act(world, 3, dx=1.0)
    np.testing.assert_array_equal(world.objects.position, before)


def test_a_pushed_object_pushes_the_next():
    world = lay([("cube", 0.04, 0.0), ("ball", 0.10, 0.0)], gripper=(-0.06, 0.0, GRASP_HEIGHT))
    act(world, 3, gripper=CLOSE)
    act(world, 3, dx=1.0)
    first, second = world.objects.position[0, :, 0]
    assert first > 0.08
    assert second - first > 0.045


def test_an_object_let_go_short_of_the_receptacle_falls_on_the_table():
    world = lay([("cube", 0.05, 0.0)])
    grasp(world)
    release_at(world, 0.05, 0.08, 0.10)
    assert world.held[0] == NOTHING
    np.testing.assert_allclose(world.objects.bottom[0, 0], 0.0, atol=1e-9)
    assert not succeeded(world)[0]


def test_an_object_let_go_over_the_edge_slides_off():
    world = lay([("cube", 0.05, 0.0)])
    grasp(world)
    release_at(world, 0.0, 0.18 - 0.066, 0.08)
    np.testing.assert_allclose(world.objects.bottom[0, 0], 0.0, atol=1e-9)
    assert 0.18 - world.objects.position[0, 0, 1] > 0.062 + 0.023


def test_it_counts_when_it_lies_on_the_receptacle_and_is_let_go():
    world = lay([("cube", 0.05, 0.0)])
    grasp(world)
    move_to(world, 0.0, 0.18, 0.12)
    assert milestone(world)[0] == 4
    move_to(world, 0.0, 0.18, 0.0)
    np.testing.assert_allclose(world.objects.bottom[0, 0], world.receptacles.top[0, 0], atol=1e-9)
    assert not succeeded(world)[0]
    act(world, gripper=OPEN)
    assert succeeded(world)[0]
    assert milestone(world)[0] == 5


def test_a_drop_from_high_above_the_receptacle_counts_once_it_has_landed():
    world = lay([("cube", 0.05, 0.0)])
    grasp(world)
    release_at(world, 0.0, 0.18, 0.18)
    assert succeeded(world)[0]


def test_the_wrong_receptacle_does_not_count():
    world = lay([("cube", 0.05, 0.0)], receptacles=[("plate", 0.0, 0.18), ("tray", 0.0, -0.15)])
    grasp(world)
    release_at(world, 0.0, -0.15, 0.06)
    np.testing.assert_allclose(world.objects.bottom[0, 0], world.receptacles.top[0, 1], atol=1e-9)
    assert not succeeded(world)[0]


def test_the_wrong_object_does_not_count():
    world = lay([("ball", -0.1, -0.1), ("cube", 0.05, 0.0)])
    move_to(world, 0.05, 0.0, GRASP_HEIGHT)
    act(world, 2, gripper=CLOSE)
    assert world.held[0] == 1
    release_at(world, 0.0, 0.18, 0.06)
    np.testing.assert_allclose(world.objects.bottom[0, 1], world.receptacles.top[0, 0], atol=1e-9)
    assert not succeeded(world)[0]


def test_an_object_cannot_be_pushed_onto_a_receptacle():
    world = lay([("cube", 0.0, 0.05)], gripper=(0.0, -0.04, GRASP_HEIGHT))
    act(world, 3, gripper=CLOSE)
    for _ in range(8):
        act(world, dy=0.5, gripper=CLOSE)
        assert world.objects.bottom[0, 0] < 1e-9
    assert not succeeded(world)[0]


def test_fingers_and_held_objects_do_not_sink_in():
    world = lay([("cube", 0.05, 0.0)])
    act(world, 5, dz=-1.0)
    np.testing.assert_allclose(world.gripper[0, 2], GRIPPER_LOW[2], atol=1e-12)
    grasp(world)
    act(world, 5, dz=-1.0)
    assert world.objects.bottom[0, 0] >= -1e-12


def test_every_object_can_be_grasped_and_placed_on_every_receptacle():
    for kind in OBJECTS:
        for receptacle in RECEPTACLES:
            world = lay([(kind, 0.05, 0.0)], receptacles=[(receptacle, 0.0, 0.18)])
            height = max(GRASP_HEIGHT, world.objects.top[0, 0] - 0.03)
            move_to(world, 0.05, 0.0, height)
            act(world, 2, gripper=CLOSE)
            assert world.held[0] == 0, kind
            release_at(world, 0.0, 0.18, 0.05)
            assert succeeded(world)[0], (kind, receptacle)
            assert world.opening[0] <= MAX_OPENING
