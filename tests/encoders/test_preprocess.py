import numpy as np
import pytest
import torch
from PIL import Image

from feat2go.encoders.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, check_frames, patch_grid


@pytest.mark.parametrize(("mode", "resample"), [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)])
@pytest.mark.parametrize("size", [24, 64])
def test_resizes_as_pillow_does(frames, mode, resample, size):
    # Low contrast: Pillow clips bicubic overshoot after the columns and again after the rows.
    frames = frames // 2 + 64
    pixels = Preprocess(size, mode, mean=(0, 0, 0), std=(1, 1, 1))(frames)
    assert pixels.shape == (5, 3, size, size)
    expected = [np.asarray(Image.fromarray(frame.numpy()).resize((size, size), resample)) for frame in frames]
    # It rounds to whole grey levels each time.
    torch.testing.assert_close(
        pixels.permute(0, 2, 3, 1) * 255, torch.tensor(np.stack(expected)).float(), rtol=0, atol=1.5
    )


def test_bicubic_overshoot_is_clipped():
    edge = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    edge[:, :, 4:] = 255
    pixels = Preprocess(32, "bicubic", mean=(0, 0, 0), std=(1, 1, 1))(edge)
    assert pixels.min() == 0
    assert pixels.max() == 1


def test_normalises_per_channel(frames):
    pixels = Preprocess(40)(frames[:, :, :40])
    expected = (frames[:, :, :40].double() / 255 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    torch.testing.assert_close(pixels.permute(0, 2, 3, 1).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (torch.full((2, 4, 4, 3), torch.nan), r"torch.float32 of shape \(2, 4, 4, 3\)"),
        (torch.zeros(0, 4, 4, 3, dtype=torch.uint8), r"torch.uint8 of shape \(0, 4, 4, 3\)"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), r"torch.uint8 of shape \(2, 3, 4, 4\)"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), r"torch.uint8 of shape \(4, 4, 3\)"),
        (np.zeros((2, 4, 4, 3), dtype=np.uint8), "ndarray"),
    ],
)
def test_other_input_is_refused(given, found):
    with pytest.raises(ValueError, match=rf"expected a non-empty uint8 tensor of shape \(B, H, W, 3\), got {found}"):
        check_frames(given)


def test_patch_grid_must_be_whole():
    assert patch_grid(224, 14) == 16
    for image_size in (0, 7, 220):
        with pytest.raises(ValueError, match=f"multiple of the patch size 14, got {image_size}"):
            patch_grid(image_size, 14)
