"""The two stages of a vision-language value model, from the command line, with the tiny twins of their configs."""

import csv
import os
import runpy
from functools import partial
from pathlib import Path

import pytest
import torch

from feat2go.cli.main import main
from feat2go.progress import read_labels
from feat2go.progress.table import read_label_metadata
from feat2go.training.value_module import ValueModule
from feat2go.values import FrozenValue, Qwen3VLValue

ROOT = Path(__file__).parents[2]
make_tiny_vlm = runpy.run_path(str(ROOT / "tests/values/make_tiny_vlm.py"))["make_tiny_vlm"]
make_tiny_lerobot = runpy.run_path(str(ROOT / "tests/data/make_tiny_lerobot.py"))["make_tiny_lerobot"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["feat2go"])
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))
    # `seed_everything` leaves it behind.
    monkeypatch.setitem(os.environ, "PL_GLOBAL_SEED", "0")


def feat2go(words):
    main([word.replace("configs/", f"{ROOT}/configs/") for word in words.split()])


def last_row(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["val/voc"]][-1]


def test_pre_training_on_lerobot_data_and_tuning_on_a_task_family():
    make_tiny_vlm("qwen3_vl", "runs/tiny/qwen3_vl")
    droid = make_tiny_lerobot(Path("runs/tiny/droid"))
    feat2go("label runs/tiny/droid --encoder pixels --clustering trend --camera exterior_1_left --cache false")
    assert list(read_labels(droid / "labels.parquet")) == [f"episode_{number:06d}" for number in range(5)]
    assert read_label_metadata(droid / "labels.parquet")["camera"] == "exterior_1_left"
    assert not Path("home/features").exists()

    feat2go("fit --config configs/value_qwen3vl_droid_tiny.yaml")
    row = last_row(Path("runs/tiny/qwen3vl_droid"))
    assert -1 <= float(row["val/voc"]) <= 1
    assert 0 <= float(row["val/terminal_auroc"]) <= 1
    pretrained = FrozenValue.load("runs/tiny/qwen3vl_droid/value")
    assert isinstance(pretrained.network, Qwen3VLValue)

    feat2go("collect --config configs/collect_tabletop.yaml --num_episodes 6 --output runs/tiny/demonstrations")
    feat2go("label runs/tiny/demonstrations --encoder pixels --clustering trend")
    feat2go("fit --config configs/value_qwen3vl_put_on_tiny.yaml")
    tuned = FrozenValue.load("runs/tiny/qwen3vl_put_on/value")
    images = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    assert not torch.equal(tuned.predict(images, ["put"] * 3), pretrained.predict(images, ["put"] * 3))


def test_training_starts_from_a_saved_value_model_of_the_same_shape():
    make_tiny_vlm("qwen3_vl", "runs/tiny/qwen3_vl")
    factory = partial(Qwen3VLValue, model="runs/tiny/qwen3_vl", head_width=16, lora_rank=2)
    saved = factory()
    FrozenValue(saved, factory).save("value")
    module = ValueModule(factory, torch.optim.AdamW, initial_value="value")
    module.configure_model()
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in module.network.state_dict().items())
    assert any(parameter.requires_grad for parameter in module.network.parameters())

    other = partial(Qwen3VLValue, model="runs/tiny/qwen3_vl", head_width=8, lora_rank=2)
    module = ValueModule(other, torch.optim.AdamW, initial_value="value")
    with pytest.raises(ValueError, match=r"the value model in value does not fit this network: .*size mismatch"):
        module.configure_model()
