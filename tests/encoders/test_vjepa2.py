"""V-JEPA 2 per frame: parity with direct calls on a tiny random model, and what each frame has seen."""

import pytest
import torch
from transformers import VJEPA2Config, VJEPA2Model

from feat2go.encoders.preprocess import Preprocess
from feat2go.encoders.vjepa2 import VJEPA2

TINY = {"hidden_size": 36, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 8, "crop_size": 32}
PREDICTOR = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vjepa2")
    VJEPA2Model(VJEPA2Config(**TINY, **PREDICTOR, initializer_range=0.2)).save_pretrained(folder)
    return str(folder)


def direct(checkpoint, clips, layer, image_size):
    """Clips uint8 (B, 2, H, W, 3) -> hidden state of a layer, normed."""
    model = VJEPA2Model.from_pretrained(checkpoint, crop_size=image_size).eval()
    pixels = torch.stack([Preprocess(image_size, "bilinear")(clip) for clip in clips])
    with torch.no_grad():
        output = model(pixels, skip_predictor=True, output_hidden_states=True)
        return model.encoder.layernorm(output.hidden_states[layer]), output.last_hidden_state


@pytest.mark.parametrize("image_size", [32, 48])
@pytest.mark.parametrize("layer", [-1, 2])
@pytest.mark.parametrize("tubelet", ["duplicate", "previous"])
def test_episode_is_direct_calls_on_two_frame_clips(checkpoint, frames, tubelet, layer, image_size):
    encoder = VJEPA2(checkpoint, layer, tubelet, image_size, batch_size=2)
    before = frames if tubelet == "duplicate" else frames[[0, 0, 1, 2, 3]]
    expected, last = direct(checkpoint, torch.stack([before, frames], dim=1), layer, image_size)
    track = encoder.encode_episode(frames)
    assert track.features.shape == (5, *encoder.feature_shape) == (5, (image_size // 8) ** 2, 36)
    # The track is stored in float16: relative precision 2^-11.
    torch.testing.assert_close(track.features.float(), expected, rtol=1e-3, atol=1e-3)
    if layer == -1:
        torch.testing.assert_close(track.features.float(), last, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tubelet", ["duplicate", "previous"])
def test_images_are_stills(checkpoint, frames, tubelet):
    encoder = VJEPA2(checkpoint, tubelet=tubelet, image_size=32)
    expected, _ = direct(checkpoint, torch.stack([frames, frames], dim=1), -1, 32)
    torch.testing.assert_close(encoder.encode_images(frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tubelet", "seen_by"), [("duplicate", [3]), ("previous", [3, 4])])
def test_a_frame_shows_in_no_earlier_row(checkpoint, frames, tubelet, seen_by):
    encoder = VJEPA2(checkpoint, tubelet=tubelet, image_size=32, batch_size=2)
    edited = frames.clone()
    edited[3] = 255 - edited[3]
    track, changed = encoder.encode_episode(frames), encoder.encode_episode(edited)
    assert track.frame_index.tolist() == [0, 1, 2, 3, 4]
    assert (track.features != changed.features).flatten(1).any(1).nonzero()[:, 0].tolist() == seen_by


def test_fingerprint_tells_tubelets_and_sizes_apart(checkpoint):
    settings = [{}, {"tubelet": "previous"}, {"layer": 1}, {"image_size": 48}]
    assert len({VJEPA2(checkpoint, **({"image_size": 32} | chosen)).fingerprint for chosen in settings}) == 4


def test_other_tubelets_are_refused(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="tubelet must be 'duplicate' or 'previous', got 'next'"):
        VJEPA2(checkpoint, tubelet="next")
    VJEPA2Model(VJEPA2Config(**TINY, **PREDICTOR, tubelet_size=4)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has tubelets of 4 frames; only 2 are supported"):
        VJEPA2(str(tmp_path), image_size=32)
