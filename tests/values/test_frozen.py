import json
from functools import partial

import pytest
import torch

from feat2go.core import ValuePredictor
from feat2go.values import FrozenValue, HashedWords, SmallValue, expectation

IMAGES = torch.randint(0, 256, (70, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INSTRUCTION = ["push the cube", "stack the cubes"] * 35


@pytest.fixture
def factory(patch_means):
    text = partial(HashedWords, num_buckets=32)
    return partial(SmallValue, encoder=partial(patch_means, weight=0.5), text=text, num_bins=11, width=16, num_layers=1)


@pytest.fixture
def value(factory):
    torch.manual_seed(0)
    return FrozenValue(factory(), factory, {"voc": 0.95, "terminal_auroc": float("nan")})


def edit_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_it_predicts_the_expectation_without_gradients(value):
    assert isinstance(value, ValuePredictor)
    predicted = value.predict(IMAGES, INSTRUCTION)
    network = value.network
    torch.testing.assert_close(predicted, expectation(network(network.prepare(IMAGES), INSTRUCTION)))
    assert predicted.dtype == torch.float32
    assert not predicted.requires_grad
    assert not any(p.requires_grad for p in network.parameters())


def test_autocast_around_the_call_changes_nothing(value):
    expected = value.predict(IMAGES, INSTRUCTION)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(value.predict(IMAGES, INSTRUCTION), expected)


def test_no_images_give_no_values_and_lengths_must_agree(value):
    assert value.predict(IMAGES[:0], []).shape == (0,)
    with pytest.raises(ValueError, match="70 images and 1 instructions"):
        value.predict(IMAGES, INSTRUCTION[:1])


def test_what_is_loaded_predicts_the_same_bit_for_bit(value, tmp_path):
    value.save(tmp_path / "value")
    torch.manual_seed(1)
    loaded = FrozenValue.load(tmp_path / "value", allow_any_class=True)
    assert torch.equal(loaded.predict(IMAGES, INSTRUCTION), value.predict(IMAGES, INSTRUCTION))
    assert loaded.metrics["voc"] == 0.95
    loaded.save(tmp_path / "again")
    for file in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "value" / file).read_bytes()


def test_the_folder_holds_the_trained_part_and_a_card(value, tmp_path):
    value.save(tmp_path / "value")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["value"]
    assert sorted(path.name for path in (tmp_path / "value").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    card = (tmp_path / "value" / "README.md").read_text()
    assert "| voc | 0.9500 |" in card
    assert "| terminal_auroc | not measured |" in card
    assert "patch-means-0.5" in card


def test_saving_replaces_a_value_model_and_nothing_else(value, tmp_path):
    value.save(tmp_path / "value")
    value.metrics["voc"] = 0.5
    value.save(tmp_path / "value")
    assert FrozenValue.load(tmp_path / "value", allow_any_class=True).metrics["voc"] == 0.5
    (tmp_path / "other").mkdir()
    with pytest.raises(FileExistsError, match="holds no value model"):
        value.save(tmp_path / "other")


def test_an_interrupted_save_leaves_the_old_model(value, tmp_path, monkeypatch):
    value.save(tmp_path / "value")
    before = value.predict(IMAGES, INSTRUCTION)
    value.network.position.data.zero_()
    monkeypatch.setattr("feat2go.values.frozen.model_card", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        value.save(tmp_path / "value")
    assert [path.name for path in tmp_path.iterdir()] == ["value"]
    loaded = FrozenValue.load(tmp_path / "value", allow_any_class=True)
    assert torch.equal(loaded.predict(IMAGES, INSTRUCTION), before)


def test_a_changed_encoder_is_refused(value, tmp_path):
    value.save(tmp_path / "value")

    def change(config):
        config["network"]["init_args"]["encoder"]["init_args"]["weight"] = 0.25

    edit_config(tmp_path / "value", change)
    with pytest.raises(ValueError, match=r"encoder .* its fingerprint is patch-means-0.25, expected patch-means-0.5"):
        FrozenValue.load(tmp_path / "value", allow_any_class=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["network"].update(class_path="os.system"), "neither feat2go's nor registered"),
        (lambda config: config["network"].update(class_path="feat2go.values.frozen.os"), "no class of that module"),
        (lambda config: config["network"].update(class_path="feat2go.values.frozen.Path"), "no class of that module"),
        (lambda config: config["network"].update(more=1), "expected {'class_path'"),
        (lambda config: config.pop("fingerprints"), "lacks fingerprints"),
    ],
)
def test_a_tampered_config_is_refused(value, tmp_path, change, message):
    value.save(tmp_path / "value")
    edit_config(tmp_path / "value", change)
    with pytest.raises(ValueError, match=message):
        FrozenValue.load(tmp_path / "value")


def test_a_nested_class_from_elsewhere_is_refused_before_it_is_imported(value, tmp_path):
    value.save(tmp_path / "value")
    with pytest.raises(ValueError, match=r"names the class .*PatchMeans, which is neither feat2go's nor registered"):
        FrozenValue.load(tmp_path / "value")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(value, tmp_path, file):
    value.save(tmp_path / "value")
    (tmp_path / "value" / file).unlink()
    with pytest.raises(FileNotFoundError, match=file):
        FrozenValue.load(tmp_path / "value")
