import pytest
import torch

from feat2go.encoders.baselines import PixelPatches, RandomPatches
from feat2go.encoders.preprocess import Preprocess


def test_pixels_are_those_of_the_patch():
    frames = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    features = PixelPatches(image_size=16, patch_size=4).encode_images(frames)
    assert features.shape == (2, 16, 48)
    # Patch 6 is in row 1, column 2; channels come first.
    patch = frames[:, 4:8, 8:12].permute(0, 3, 1, 2).flatten(1) / 255
    torch.testing.assert_close(features[:, 6], patch)


def test_random_is_one_linear_map_of_each_patch(frames):
    encoder = RandomPatches(width=8, image_size=32, patch_size=16)
    pixels = Preprocess(32)(frames)
    maps = encoder.network.projection.weight.flatten(1)
    expected = pixels[:, :, 16:, :16].flatten(1) @ maps.T
    features = encoder.encode_images(frames)
    assert features.shape == (5, *encoder.feature_shape) == (5, 4, 8)
    torch.testing.assert_close(features[:, 2], expected, rtol=1e-4, atol=1e-5)


def test_seed_decides_the_random_map(frames):
    def features(seed):
        torch.manual_seed(torch.seed())
        return RandomPatches(seed=seed).encode_images(frames)

    torch.testing.assert_close(features(3), features(3), rtol=0, atol=0)
    assert not torch.equal(features(3), features(4))
    assert RandomPatches(seed=3).fingerprint == RandomPatches(seed=3).fingerprint != RandomPatches(seed=4).fingerprint


@pytest.mark.parametrize("encoder_class", [PixelPatches, RandomPatches])
def test_size_must_be_whole_patches(encoder_class):
    with pytest.raises(ValueError, match="multiple of the patch size 14, got 30"):
        encoder_class(image_size=30, patch_size=14)
