from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from safetensors.torch import load_file

from feat2go.core import Episode, FeatureTrack, ProgressTrack
from feat2go.core.seeding import episode_seed
from feat2go.data import DatasetError, DatasetInfo, EpisodeWriter
from feat2go.encoders.baselines import PixelPatches
from feat2go.progress.table import label_writer
from feat2go.training.finite import NotFiniteError
from feat2go.training.preparation import FramePreparation
from feat2go.training.value_data import ValueDataModule
from feat2go.training.value_module import ValueModule
from feat2go.values import FrozenValue, SmallValue

NUM_EPISODES, T = 14, 10
INFO = DatasetInfo("bar", ("base",), 32, 10.0, 7, 0, ())
ENCODER = partial(PixelPatches, image_size=16, patch_size=4)
NETWORK = partial(SmallValue, encoder=ENCODER, num_bins=21, width=32, num_layers=1, dropout=0.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))


def episode(number, success=True, seed=None):
    """A bar that grows from left to right, at its own height; it stops early where the episode fails."""
    rng = np.random.default_rng(number)
    frames = rng.integers(0, 60, (T, 32, 32, 3), dtype=np.uint8)
    top = 8 * rng.integers(0, 4)
    for t in range(T):
        frames[t, top : top + 8, : 3 * (t if success else min(t, 3)) + 2] = 255
    seed = episode_seed("train", number) if seed is None else seed
    actions = np.zeros((T - 1, 7), np.float32)
    return Episode({"base": frames}, "grow the bar", actions, None, success, None, f"bar-{number}", "bar", seed, 10.0)


def target(number, shuffled=False):
    rising = torch.linspace(0, 1, T)
    return rising[torch.randperm(T, generator=torch.Generator().manual_seed(number))] if shuffled else rising


@pytest.fixture
def make_data(tmp_path):
    def make(shuffled=False, failures=4, change=lambda episode: episode, unlabelled=(), **arguments):
        writer = EpisodeWriter(tmp_path / "episodes", INFO)
        for number in range(NUM_EPISODES + failures):
            writer.write(change(episode(number, success=number < NUM_EPISODES)))
        with label_writer(tmp_path / "labels.parquet", {}) as append:
            for number in set(range(NUM_EPISODES)) - set(unlabelled):
                zeros = torch.zeros(T)
                append(f"bar-{number}", ProgressTrack(target(number, shuffled), zeros.long(), zeros))
        return ValueDataModule([str(tmp_path / "episodes")], [str(tmp_path / "labels.parquet")], **arguments)

    return make


def fit(data, folder, num_steps=120, **arguments):
    seed_everything(0)
    module = ValueModule(NETWORK, partial(torch.optim.AdamW, lr=3e-3), **arguments)
    trainer = Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, default_root_dir=folder,
        max_steps=num_steps, max_epochs=-1, check_val_every_n_epoch=1000 if num_steps > 20 else 1,
    )  # fmt: skip
    trainer.fit(module, data)
    (metrics,) = trainer.validate(module, data, verbose=False)
    return trainer, module, metrics


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_network(make_data, tmp_path, monkeypatch):
    monkeypatch.setattr(ValueModule, "_loss_of", lambda self, logits, batch: logits.sum() * torch.nan)
    with pytest.raises(NotFiniteError, match=r"NaN or infinity in loss \(epoch 0, step 0\)"):
        fit(make_data(), tmp_path / "run", num_steps=2)
    (kept,) = (tmp_path / "run" / "not_finite").iterdir()
    assert "target" in load_file(kept)


def test_it_orders_held_out_episodes_and_leaves_a_value_model(make_data, tmp_path):
    data = make_data()
    trainer, module, metrics = fit(data, tmp_path / "run")
    assert metrics["val/voc"] > 0.9
    assert metrics["val/pair_accuracy"] > 0.9
    assert metrics["val/mae"] < 0.1
    assert metrics["val/terminal_auroc"] == 1.0

    frozen = FrozenValue.load(tmp_path / "run" / "value")
    predicted = dict(trainer.predict(module, data))
    assert predicted.keys() == {f"bar-{number}" for number in range(NUM_EPISODES + 4)}
    frames = torch.from_numpy(episode(0).frames["base"])
    torch.testing.assert_close(frozen.predict(frames, ["grow the bar"] * T), predicted["bar-0"], rtol=1e-4, atol=1e-5)

    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["value_config"]["class_path"] == "feat2go.values.small.SmallValue"
    assert not any("encoder" in name for name in checkpoint["state_dict"])
    again = ValueModule.load_from_checkpoint(
        tmp_path / "last.ckpt", value=NETWORK, optimizer=torch.optim.AdamW, weights_only=True
    )
    state = module.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.network.state_dict().items())


def test_shuffled_targets_do_not_reach_the_metric(make_data, tmp_path):
    _, _, metrics = fit(make_data(shuffled=True), tmp_path / "run")
    assert metrics["val/voc"] < 0.7
    assert metrics["val/pair_accuracy"] < 0.8


@pytest.mark.parametrize("loss", ["two_hot", "mse"])
def test_the_other_losses_train_too(make_data, tmp_path, loss):
    scheduler = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    trainer, _, metrics = fit(make_data(failures=0), tmp_path / "run", 4, loss=loss, lr_scheduler=scheduler)
    assert trainer.lr_scheduler_configs
    assert np.isnan(metrics["val/terminal_auroc"])
    assert trainer.callback_metrics["val/mae"] < 0.6


def test_episodes_are_split_whole_and_failures_are_only_held_out(make_data):
    data = make_data(validation_share=0.25)
    data.setup("fit")
    training, validation = data._training, data._validation
    assert not set(training) & set(validation)
    assert sorted(training + validation) == list(range(NUM_EPISODES + 4))
    assert set(range(NUM_EPISODES, NUM_EPISODES + 4)) < set(validation)
    assert len(validation) == 4 + round(0.25 * NUM_EPISODES)


def test_evaluation_seeds_are_refused(make_data):
    data = make_data(change=lambda e: replace(e, seed=episode_seed("evaluation", e.seed)))
    with pytest.raises(ValueError, match=r"evaluation split, but a value model may only use"):
        data.setup("fit")


def test_episodes_without_labels_or_with_others_are_refused(make_data):
    with pytest.raises(ValueError, match=r"'bar-3' of .* has no labels in .*feat2go label"):
        make_data(unlabelled=[3]).setup("fit")


def test_labels_of_another_length_are_refused(make_data, tmp_path):
    data = make_data()
    with label_writer(tmp_path / "labels.parquet", {}) as append:
        append("bar-0", ProgressTrack(torch.ones(3), torch.zeros(3).long(), torch.ones(3)))
    with pytest.raises(ValueError, match="'bar-0' of .* has 10 frames, but 3 labels"):
        data.setup("fit")


def test_damaged_episodes_stop_it_or_are_left_out_on_request(make_data, tmp_path, caplog):
    data = make_data(failures=0)
    damaged = tmp_path / "episodes" / "episodes" / "000003.h5"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=r"000003\.h5"):
        data.setup("fit")
    data = ValueDataModule([str(tmp_path / "episodes")], [str(tmp_path / "labels.parquet")], skip_damaged=True)
    data.setup("fit")
    assert {episode.uid for episode, _ in data._episodes} == {f"bar-{number}" for number in range(14) if number != 3}
    assert "000003.h5" in caplog.text


def test_features_that_do_not_fit_into_memory_are_refused_at_once(make_data, tmp_path):
    with pytest.raises(ValueError, match=r"180 frames of 2 kB need 0.0 GB, more than max_memory_gb=1e-05"):
        fit(make_data(max_memory_gb=1e-5), tmp_path / "run", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": ["a"], "labels": []}, "1 data sets and 0 of labels"),
        ({"dataset": ["a"], "labels": ["b"], "validation_share": 0.0}, "between 0 and 1"),
        ({"dataset": ["a"], "labels": ["b"], "batch_size": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ValueDataModule(**arguments)


def test_a_network_that_can_not_be_exported_is_refused_before_training():
    with pytest.raises(ValueError, match="functools.partial"):
        ValueModule(lambda: NETWORK(), torch.optim.AdamW)


class LooksBack(torch.nn.Module):
    """Gives single images what ``encode_images`` should, and episodes what only a look at the past can tell."""

    fingerprint, feature_shape = "looks-back", (1, 1)

    def encode_images(self, images):
        return images.float().mean(dim=(1, 2, 3))[:, None, None]

    def encode_episode(self, frames):
        features = self.encode_images(frames)
        previous = torch.cat([features[:1], features[:-1]])
        return FeatureTrack((features - previous).half(), torch.arange(len(frames)), self.fingerprint)


class Prepares(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.image_encoder = encoder
        self.num_calls = 0

    def prepare(self, images):
        self.num_calls += 1
        return self.image_encoder.encode_images(images).half()


@pytest.mark.parametrize(("encoder", "num_calls"), [(LooksBack(), 3), (ENCODER(), 1)])
def test_features_come_from_the_cache_only_where_they_are_those_of_single_images(encoder, num_calls):
    network = Prepares(encoder)
    prepare = FramePreparation(network)
    for number in range(3):
        frames = torch.from_numpy(episode(number).frames["base"])
        torch.testing.assert_close(prepare(frames), encoder.encode_images(frames).half(), rtol=0, atol=0)
    assert network.num_calls == num_calls
