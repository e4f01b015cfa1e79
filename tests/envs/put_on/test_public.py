"""The loader of the public assets, on a folder in their layout with tiny meshes and pictures."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from feat2go.envs.put_on import public
from feat2go.envs.put_on.assets import asset_set
from feat2go.envs.put_on.public import read_models, read_pictures

BOX = """v -0.02 -0.01 0
v 0.02 -0.01 0
v 0 0.01 0
v 0 0 0.03
f 1 2 3
f 1 2 4
f 2 3 4
f 1 3 4
"""


def write_things(folder, words, scale=1.0):
    entries = {}
    for number, word in enumerate(words, start=1):
        key = f"{number:03}_{word}_1"
        (folder / key).mkdir(parents=True)
        (folder / key / "collision.obj").write_text(BOX)
        (folder / key / f"textured.{('obj', 'dae', 'glb')[number % 3]}").write_text(BOX)
        corners = {"min": [-0.02, -0.01, 0.0], "max": [0.02, 0.01, 0.03]}
        entries[key] = {"name": word, "bbox": corners, "scales": [scale], "density": 100 + number}
    (folder / "model_db.json").write_text(json.dumps(entries))


def write_picture(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), colour, np.uint8)).save(path)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("assets") / "carrot"
    write_things(root / "more_carrot", [f"thing {i}" for i in range(25)], scale=2.0)
    write_things(root / "more_plate", [f"dish {i}" for i in range(17)])
    entries = {}
    for i in range(21):
        write_picture(root / "more_table/imgs" / f"{i:03}_table.png", 10 * i)
        write_picture(root / "more_table/textures" / f"{i:03}.png", 200 - i)
        entries[f"{i:03}_table.png"] = {"name": "table", "texture": f"{i:03}.png", "mix": float(i > 0)}
    (root / "more_table/model_db.json").write_text(json.dumps(entries))
    return root


@pytest.fixture
def root(original, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(original, tmp_path / "carrot")


def test_things_come_in_the_order_of_the_file_with_their_meshes(root):
    objects, receptacles = read_models(root)
    assert [model.name for model in objects] == [f"thing {i}" for i in range(25)]
    assert [model.name for model in receptacles] == [f"dish {i}" for i in range(17)]
    first = objects[0]
    assert first.collision_file == root / "more_carrot/001_thing 0_1/collision.obj"
    assert [model.visual_file.suffix for model in objects[:3]] == [".dae", ".glb", ".obj"]
    assert first.density == 101
    np.testing.assert_allclose(first.lower, [-0.04, -0.02, 0])
    np.testing.assert_allclose(first.upper, [0.04, 0.02, 0.06])
    np.testing.assert_allclose(receptacles[0].upper, [0.02, 0.01, 0.03])


def test_pictures_come_in_the_order_of_the_file(root):
    photos, textures = read_pictures(root)
    assert [int(photo[0, 0, 0]) for photo in photos] == [10 * i for i in range(21)]
    assert [int(texture[0, 0, 0]) for texture in textures] == [200 - i for i in range(21)]
    assert photos[0].shape == (6, 8, 3)


def test_the_whole_set_with_its_robot_and_camera(root, tmp_path, monkeypatch):
    import mani_skill

    stage = tmp_path / "data" / public._STAGE
    stage.parent.mkdir(parents=True)
    stage.write_bytes(b"")
    monkeypatch.setattr(mani_skill, "ASSET_DIR", tmp_path / "data")
    assets = asset_set("public", str(root.parent))
    assert assets.robot.uid == "widowx250s_bridgedataset_flat_table"
    assert (assets.camera.width, assets.camera.height) == (640, 480)
    assert assets.stage[0] == stage
    assert len(assets.objects) == 25
    tables = assets.tables(480, 640)
    assert len(tables) == 21
    assert tables[3].shape == (480, 640, 3)
    assert (tables[3] == 30).all()


def test_without_the_stage_the_command_is_named(root, tmp_path, monkeypatch):
    import mani_skill

    monkeypatch.setattr(mani_skill, "ASSET_DIR", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="download_asset bridge_v2_real2sim"):
        asset_set("public", str(root))


def test_the_folder_is_named_by_the_environment_or_asked_for(root, monkeypatch):
    public.public_names.cache_clear()
    monkeypatch.delenv("FEAT2GO_PUT_ON_ASSETS", raising=False)
    with pytest.raises(FileNotFoundError, match=r"FEAT2GO_PUT_ON_ASSETS.*hf download"):
        public.public_names(None)
    monkeypatch.setenv("FEAT2GO_PUT_ON_ASSETS", str(root))
    assert public.public_names(None)[1][0] == "dish 0"


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("more_carrot/model_db.json", FileNotFoundError, "model_db.json: missing"),
        ("more_carrot/002_thing 1_1/collision.obj", FileNotFoundError, "collision.obj: missing"),
        ("more_plate/001_dish 0_1/textured.dae", FileNotFoundError, "textured.glb: missing"),
        ("more_table/imgs/004_table.png", FileNotFoundError, "004_table.png: missing"),
        ("more_table/textures/007.png", FileNotFoundError, "007.png: missing"),
    ],
)
def test_a_missing_file_is_named_with_the_command(root, path, error, message):
    (root / path).unlink()
    read = read_pictures if "table" in path else read_models
    with pytest.raises(error, match=message) as caught:
        read(root)
    assert "hf download" in str(caught.value)


def test_a_wrong_entry_is_named(root):
    index = root / "more_carrot/model_db.json"
    entries = json.loads(index.read_text())
    key = next(iter(entries))
    for spoilt, message in (
        (dict(list(entries.items())[1:]), "25 entries are needed, found 24"),
        ({**entries, key: {"name": "thing"}}, f"'{key}' has no 'bbox'; found name"),
        ({**entries, key: {"name": "thing", "bbox": {"min": [0, 0, 0]}}}, "bbox.max must be three numbers"),
    ):
        index.write_text(json.dumps(spoilt))
        with pytest.raises(ValueError, match=message):
            read_models(root)
