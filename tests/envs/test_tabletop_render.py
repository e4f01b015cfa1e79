import numpy as np
import pytest

from feat2go.envs.tabletop.camera import Camera
from feat2go.envs.tabletop.canvas import in_shade, pack
from feat2go.envs.tabletop.dynamics import advance
from feat2go.envs.tabletop.kinds import COLOURS, OBJECTS, RECEPTACLES
from feat2go.envs.tabletop.render import Renderer
from feat2go.envs.tabletop.scene import Item, Scene, SceneSampler
from feat2go.envs.tabletop.world import World

SIZE = 64


def picture(world, size=SIZE):
    rows = np.arange(len(world.yaw))
    renderer = Renderer(len(rows), size)
    renderer.set_background(world, rows)
    return renderer.render(world, rows)


def sample_scene(seed):
    return SceneSampler(list(OBJECTS), list(RECEPTACLES), list(COLOURS), 2, 2, 1.0)(seed)


def world_of(num_envs):
    world = World.zeros(num_envs, 3, 2)
    for env in range(num_envs):
        world.place(env, sample_scene(env))
    return world


def lay(objects, gripper=(0.2, 0.24, 0.2)):
    """One table with objects (kind, colour, x, y), and the gripper out of the way."""
    items = [Item(kind, OBJECTS[kind], COLOURS[colour], np.array([x, y]), 0.0) for kind, colour, x, y in objects]
    plate = Item("plate", RECEPTACLES["plate"], COLOURS["white"], np.array([0.12, -0.18]), 0.0)
    world = World.zeros(1, len(items), 1)
    world.place(0, Scene(items, [plate], np.array(gripper), 0.0, ""))
    return world


def pixel_of(point, size=SIZE):
    _, (pixel,) = Camera(size).pixels_around(np.array(point, dtype=np.float32).reshape(3, 1, 1))
    return divmod(pixel, size)


def hue(pixel):
    return pixel / pixel.max()


def test_a_picture_does_not_depend_on_its_batch():
    world = world_of(6)
    together = picture(world)
    for env in range(6):
        np.testing.assert_array_equal(picture(world.select(np.array([env])))[0], together[env])


def test_some_rows_are_rendered_as_all_are():
    world, rows = world_of(6), np.array([1, 4])
    renderer = Renderer(6, SIZE)
    renderer.set_background(world, np.arange(6))
    np.testing.assert_array_equal(renderer.render(world, rows), renderer.render(world, np.arange(6))[rows])


@pytest.mark.parametrize("colour", sorted(COLOURS))
@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_an_object_is_seen_in_its_colour_where_it_stands(kind, colour):
    world = lay([(kind, colour, 0.0, 0.05)])
    row, column = pixel_of((0.0, 0.05, world.objects.top[0, 0]))
    np.testing.assert_allclose(
        hue(picture(world)[0, row, column].astype(float)), hue(np.array(COLOURS[colour])), atol=0.05
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_object_hides_the_farther_one(order):
    objects = [("cylinder", "red", -0.05, 0.0), ("cube", "blue", 0.0, 0.0)]
    image = picture(lay([objects[i] for i in order]))[0]
    row, column = pixel_of((0.0, 0.0, 0.012))
    red, _, blue = image[row, column].astype(int)
    assert red > 2 * blue
    row, column = pixel_of((0.015, 0.0, 0.048))
    red, _, blue = image[row, column].astype(int)
    assert blue > 2 * red


def test_pictures_are_drawn_afresh_whatever_was_drawn_before():
    world, rows = world_of(4), np.arange(4)
    renderer = Renderer(4, SIZE)
    renderer.set_background(world, rows)
    generator = np.random.default_rng(0)
    for step in range(12):
        advance(world, generator.uniform(-1.0, 1.0, size=(4, 7)))
        if step == 6:
            world.place(2, sample_scene(17))
            renderer.set_background(world, np.array([2]))
        np.testing.assert_array_equal(renderer.render(world, rows), picture(world))


def test_slots_do_not_matter():
    objects = [("bar", "red", -0.05, 0.05), ("bar", "blue", -0.02, 0.10), ("ball", "green", 0.03, 0.05)]
    np.testing.assert_array_equal(picture(lay(objects)), picture(lay(objects[::-1])))


def test_height_is_seen_on_the_gripper_and_its_shadow():
    low, high = (
        picture(lay([("cube", "red", -0.15, 0.2)], gripper=(0.0, 0.0, z)))[0].astype(int) for z in (0.05, 0.15)
    )
    empty = picture(lay([("cube", "red", -0.15, 0.2)]))[0].astype(int)
    row, column = pixel_of((0.0, 0.0, 0.0))
    assert np.abs(low - high).max(axis=-1).astype(bool).sum() > 40
    # The shadow darkens the table near the gripper's foot point, at both heights.
    for image in (low, high):
        darker = (image < 0.75 * empty).all(axis=-1)
        assert darker[row - 10 : row + 10, column - 14 : column + 14].sum() > 5


def test_an_open_gripper_does_not_look_like_a_closed_one():
    world = lay([("cube", "red", -0.15, 0.2)], gripper=(0.0, 0.0, 0.1))
    opened = picture(world).astype(int)
    world.opening[:] = 0.0
    assert (np.abs(opened - picture(world)).max(axis=-1) > 40).sum() > 8


def test_larger_pictures_show_the_same():
    world = lay([("cube", "red", 0.0, 0.05)])
    large = picture(world, 4 * SIZE)[0].astype(float).reshape(SIZE, 4, SIZE, 4, 3).mean(axis=(1, 3))
    assert np.abs(large - picture(world)[0]).mean() < 2.0


def test_edges_are_smooth():
    world = lay([("ball", "red", 0.0, 0.0)])
    row, column = pixel_of((0.0, 0.0, 0.026))
    red = picture(world)[0, row - 8 : row + 8, column - 8 : column + 8].astype(int)
    share_of_red = red[..., 0] / red.sum(axis=-1)
    assert ((share_of_red > 0.5) & (share_of_red < 0.7)).any()


def test_rays_meet_the_table_where_the_camera_sees_that_point():
    camera = Camera(SIZE)
    for pixel in (0, 63, 2080, 4095):
        for x, y in camera.ground[:, :, pixel].T:
            num_pixels, seen = camera.pixels_around(np.array([x, y, 0.0], dtype=np.float32).reshape(3, 1, 1))
            assert num_pixels.tolist() == [1]
            assert seen.tolist() == [pixel]


def test_pixels_around_points_out_of_view_are_none():
    far_left = np.array([[(0.0, 5.0, 0.0), (0.0, 4.0, 0.0)], [(0.0, 0.0, 0.0), (0.0, 0.0, 0.02)]], dtype=np.float32)
    num_pixels, pixel = Camera(SIZE).pixels_around(far_left.T)
    assert num_pixels[0] == 0
    assert num_pixels[1] == len(pixel) > 0


def test_two_shadows_are_as_dark_as_one():
    channels = np.random.default_rng(0).integers(0, 256, size=(3, 20))
    colour = pack(*channels)
    np.testing.assert_array_equal(colour.view(np.uint8).reshape(20, 4)[:, :3].T, channels)
    once = in_shade(colour)
    np.testing.assert_allclose(once.view(np.uint8).reshape(20, 4)[:, :3].T, channels * 9 / 16, atol=2)
    np.testing.assert_array_equal(in_shade(once), once)
