"""What every registered encoder has to do, whatever it is inside."""

import pytest
import torch
import transformers

from feat2go.core import Encoder, slots, weights
from feat2go.registry.slots import ENCODERS

VIT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 8}
VJEPA2 = {
    **{"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "crop_size": 32},
    **{"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1},
}
HUB = {
    "dinov2": ("Dinov2Model", "Dinov2Config", {**VIT, "image_size": 32}),
    "dinov3": ("DINOv3ViTModel", "DINOv3ViTConfig", VIT),
    "siglip": ("SiglipVisionModel", "SiglipVisionConfig", {**VIT, "image_size": 32}),
    "vjepa2": ("VJEPA2Model", "VJEPA2Config", VJEPA2),
}
# Small, for speed.
IMAGE_SIZE = {"dinov2_small": 56, "mobilenet_v2": 96, "random": 56, "pixels": 32}
BUILTIN = [name for name in ENCODERS if ENCODERS.entry(name).path.startswith("feat2go.")]


@pytest.fixture(scope="module", params=BUILTIN)
def encoder(request, tmp_path_factory):
    name = request.param
    if name not in HUB:
        if name in weights.WEIGHTS and not weights.is_present(name):
            pytest.skip(f"needs `feat2go weights get {name}`")
        return ENCODERS.get(name)(image_size=IMAGE_SIZE[name], batch_size=2)
    model, config, settings = HUB[name]
    folder = tmp_path_factory.mktemp(name)
    torch.manual_seed(0)
    getattr(transformers, model)(getattr(transformers, config)(**settings)).save_pretrained(folder)
    return ENCODERS.get(name)(model=str(folder), image_size=32, batch_size=2)


@pytest.fixture(scope="module")
def frames():
    return torch.randint(0, 256, (3, 40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_is_an_encoder_for_types_and_for_yaml(encoder):
    assert isinstance(encoder, Encoder)
    assert issubclass(type(encoder), slots.Encoder)


def test_images_have_the_promised_shape(encoder, frames):
    features = encoder.encode_images(frames)
    assert features.shape == (3, *encoder.feature_shape)
    assert features.dtype == torch.float32
    assert features.isfinite().all()


def test_images_are_independent_of_their_batch(encoder, frames):
    together = encoder.encode_images(frames)
    alone = torch.cat([encoder.encode_images(frame[None]) for frame in frames])
    # Other batch sizes may take other kernels: relative to the features' own scale.
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * together.abs().max().item())


def test_episode_has_one_row_per_frame_and_no_look_ahead(encoder, frames):
    track = encoder.encode_episode(frames)
    assert track.features.dtype == torch.float16
    assert track.features.shape == (3, *encoder.feature_shape)
    assert track.frame_index.tolist() == [0, 1, 2]
    assert track.fingerprint == encoder.fingerprint
    first = encoder.encode_episode(frames[:2]).features
    torch.testing.assert_close(track.features[:2], first, rtol=1e-3, atol=1e-3 * first.abs().max().item())


def test_patches_stay_where_they_are(encoder):
    """Changing the bottom right corner changes the last patch more than the first."""
    side = 64
    frames = torch.full((2, side, side, 3), 128, dtype=torch.uint8)
    frames[1, side - 12 :, side - 12 :] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    features = encoder.encode_images(frames)
    change = (features[1] - features[0]).norm(dim=-1)
    assert change[-1] > 1.5 * change[0]


def test_frozen_and_deterministic(encoder, frames):
    before = encoder.encode_images(frames)
    encoder.train()
    assert torch.equal(encoder.encode_images(frames), before)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not before.requires_grad


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(0, 8, 8, 3, dtype=torch.uint8),
        torch.full((1, 8, 8, 3), torch.nan),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
    ids=["empty", "float with NaN", "channels first"],
)
def test_other_input_is_refused(encoder, bad):
    for encode in (encoder.encode_images, encoder.encode_episode):
        with pytest.raises(ValueError, match="expected a non-empty uint8 tensor"):
            encode(bad)
