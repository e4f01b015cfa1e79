import pytest
import torch

from feat2go.core import weights
from feat2go.core.weights import WeightsError
from feat2go.encoders.mobilenet import MobileNetV2
from feat2go.encoders.preprocess import Preprocess


@pytest.mark.parametrize(("layer", "shape"), [(-1, (4, 1280)), (13, (16, 96)), (0, (1024, 32))])
def test_features_are_those_of_the_plain_layers(store_mobilenet, frames, layer, shape):
    layers = store_mobilenet(seed=0)
    encoder = MobileNetV2(image_size=64, layer=layer)
    assert encoder.feature_shape == shape
    with torch.no_grad():
        grid = layers[: layer % 19 + 1](Preprocess(64, "bilinear")(frames))
    features = encoder.encode_images(frames)
    assert features.shape == (5, *shape)
    # Folded batch norms round differently: the tolerance is relative to the features' own scale.
    torch.testing.assert_close(
        features, grid.flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-4 * grid.abs().max().item()
    )


def test_fingerprint_tells_weights_layer_and_size_apart(store_mobilenet):
    store_mobilenet(seed=0)
    settings = [{}, {"layer": 13}, {"image_size": 64}]
    prints = [MobileNetV2(**chosen).fingerprint for chosen in settings]
    assert MobileNetV2(batch_size=3).fingerprint == MobileNetV2(layer=18).fingerprint == prints[0]
    store_mobilenet(seed=1)
    prints.append(MobileNetV2().fingerprint)
    assert len(set(prints)) == 4


@pytest.mark.parametrize("num_threads", [1, 2])
def test_features_are_the_same_to_the_bit_whatever_else_is_in_the_batch(store_mobilenet, num_threads):
    store_mobilenet(seed=0)
    encoder = MobileNetV2(image_size=64)
    # Full batches, one below 16, where PyTorch has another kernel for one thread, and one of a single frame.
    frames = torch.randint(0, 256, (33, 40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    threads_before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        known = encoder.encode_images(frames)
        for episode in (slice(3, 17), slice(9, 10), slice(5, 22)):
            features = encoder.encode_images(frames[episode])
            torch.testing.assert_close(features, known[episode], rtol=0, atol=0)
    finally:
        torch.set_num_threads(threads_before)


def test_bad_arguments_are_named(store_mobilenet):
    store_mobilenet(seed=0)
    with pytest.raises(ValueError, match=r"layer must be in \[-19, 19\), got 19"):
        MobileNetV2(layer=19)
    with pytest.raises(ValueError, match="image_size must be a multiple of 32, got 100"):
        MobileNetV2(image_size=100)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        MobileNetV2(batch_size=0)


def test_absent_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="feat2go weights get mobilenet_v2"):
        MobileNetV2()


def test_pretrained_features_are_sparse_bounded_and_repeatable(frames):
    if not weights.is_present("mobilenet_v2"):
        pytest.skip("needs `feat2go weights get mobilenet_v2`")
    features = MobileNetV2(image_size=96).encode_images(frames)
    assert features.shape == (5, 9, 1280)
    # The last layer ends in ReLU6.
    assert features.min() == 0
    assert 1 < features.max() <= 6
    torch.testing.assert_close(MobileNetV2(image_size=96).encode_images(frames), features, rtol=0, atol=0)
