"""The shipped assets: all there, distinct, of sizes that a gripper and a table can hold."""

import itertools

import numpy as np
import pytest

from feat2go.envs.put_on.assets import asset_set
from feat2go.envs.put_on.names import NUM_TABLES, OBJECTS, RECEPTACLES
from feat2go.envs.put_on.shipped_objects import shipped_objects, shipped_receptacles

GRIPPER_OPENING_M = 0.08


@pytest.fixture(scope="module")
def shipped():
    return asset_set("shipped", None)


def test_there_are_25_objects_and_17_receptacles_by_their_names(shipped):
    assert [model.name for model in shipped.objects] == list(OBJECTS)
    assert [model.name for model in shipped.receptacles] == list(RECEPTACLES)
    shapes = [model.parts for model in (*shipped.objects, *shipped.receptacles)]
    assert len(set(shapes)) == 25 + 17


@pytest.mark.parametrize("model", [*shipped_objects(), *shipped_receptacles()], ids=lambda model: model.name)
def test_a_thing_is_centred_on_its_origin(model):
    np.testing.assert_allclose(model.lower, -model.upper, atol=1e-9)
    assert any(part.is_solid for part in model.parts)


@pytest.mark.parametrize("model", shipped_objects(), ids=lambda model: model.name)
def test_a_gripper_can_take_it(model):
    part = model.parts[model.grasp_part] if model.grasp_part is not None else model.parts[0]
    assert 0.02 <= 2 * min(part.size[:2]) <= GRIPPER_OPENING_M - 0.02
    at, _ = model.grasp
    assert (at >= model.lower).all()
    assert (at <= model.upper).all()
    # The fingers are long enough that the palm stays above what is solid.
    tops = [part.centre[2] + part.size[2] - model._origin[2] for part in model.parts if part.is_solid]
    assert max(tops) - at[2] < 0.04


@pytest.mark.parametrize("model", shipped_receptacles(), ids=lambda model: model.name)
def test_a_receptacle_is_flat_and_wide(model):
    size = model.upper - model.lower
    assert (size[:2] > 0.07).all()
    # What is let go one centimetre above the table does not begin inside of it.
    assert size[2] < 0.01


def test_tables_and_textures_are_all_different(shipped):
    tables = shipped.tables(64, 64)
    assert len(tables) == len(shipped.textures) == NUM_TABLES
    for pictures in (tables, shipped.textures):
        assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in pictures)
        for a, b in itertools.combinations(pictures, 2):
            assert np.abs(a.astype(int) - b).mean() > 4
    assert all(table.shape == (64, 64, 3) for table in tables)


def test_the_shipped_set_takes_no_folder():
    with pytest.raises(ValueError, match="public"):
        asset_set("shipped", "/somewhere")
    with pytest.raises(ValueError, match="'shipped' or 'public'"):
        asset_set("private", None)
