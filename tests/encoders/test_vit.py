"""Parity of the encoders with direct calls of transformers, on tiny random models."""

import pytest
import torch
from transformers import (
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from feat2go.core import weights
from feat2go.encoders.packaged import DINOv2Small
from feat2go.encoders.preprocess import Preprocess
from feat2go.encoders.vit import DINOv2, DINOv3, SigLIP

TINY = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 8}
CASES = {
    "dinov2": (DINOv2, Dinov2Model, Dinov2Config(**TINY, image_size=40), "layernorm", 1),
    "dinov3": (DINOv3, DINOv3ViTModel, DINOv3ViTConfig(**TINY, image_size=40, num_register_tokens=4), "norm", 5),
    "siglip": (SigLIP, SiglipVisionModel, SiglipVisionConfig(**TINY, image_size=40), "post_layernorm", 0),
}
PREPROCESS = {
    "dinov2": Preprocess(32, "bicubic"),
    "dinov3": Preprocess(32, "bilinear"),
    "siglip": Preprocess(32, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def save(model_class, config, folder, seed=0):
    torch.manual_seed(seed)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Fresh biases and norms are constants, which would hide a wrong one.
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("layer", [-1, 2, 0])
@pytest.mark.parametrize("name", CASES)
def test_features_are_those_of_a_direct_call(name, layer, tmp_path, frames):
    encoder_class, model_class, config, norm, num_prefix_tokens = CASES[name]
    model = save(model_class, config, tmp_path)
    encoder = encoder_class(str(tmp_path), layer=layer, image_size=32)
    interpolate = {"interpolate_pos_encoding": True} if name == "siglip" else {}
    with torch.no_grad():
        output = model(pixel_values=PREPROCESS[name](frames), output_hidden_states=True, **interpolate)
        expected = getattr(model, norm)(output.hidden_states[layer])[:, num_prefix_tokens:]
    features = encoder.encode_images(frames)
    assert features.shape == (5, *encoder.feature_shape) == (5, 16, 24)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    if layer == -1:
        torch.testing.assert_close(features, output.last_hidden_state[:, num_prefix_tokens:], rtol=1e-4, atol=1e-5)


def test_fingerprint_tells_weights_layer_and_size_apart(tmp_path):
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    save(Dinov2Model, CASES["dinov2"][2], first)
    save(Dinov2Model, CASES["dinov2"][2], second, seed=1)
    known = DINOv2(first, image_size=32).fingerprint
    assert DINOv2(first, layer=3, image_size=32, batch_size=1).fingerprint == known
    others = [DINOv2(first, layer=2, image_size=32), DINOv2(first, image_size=40), DINOv2(second, image_size=32)]
    assert len({known, *(other.fingerprint for other in others)}) == 4


def test_the_tower_is_found_in_a_whole_siglip(tmp_path, frames):
    from transformers import SiglipConfig, SiglipModel

    text = {**TINY, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2}
    config = SiglipConfig(text_config=text, vision_config={**TINY, "image_size": 40})
    whole = save(SiglipModel, config, tmp_path / "whole")
    whole.vision_model.save_pretrained(tmp_path / "tower")
    both = [SigLIP(str(tmp_path / part), image_size=40).encode_images(frames) for part in ("whole", "tower")]
    torch.testing.assert_close(*both, rtol=0, atol=0)


def test_another_architecture_is_refused_rather_than_left_untrained(tmp_path):
    _, model_class, config, *_ = CASES["siglip"]
    save(model_class, config, tmp_path)
    with pytest.raises(ValueError, match="is not a Dinov2Model checkpoint"):
        DINOv2(str(tmp_path))


def test_an_absent_model_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"can't be loaded as a Dinov2Model checkpoint: .* Give a folder with config"):
        DINOv2(str(tmp_path / "nowhere"))


def test_pickled_weights_are_refused(tmp_path):
    model = save(Dinov2Model, CASES["dinov2"][2], tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="can't be loaded"):
        DINOv2(str(tmp_path), image_size=32)


def test_layers_and_sizes_that_do_not_fit_are_named(tmp_path):
    save(Dinov2Model, CASES["dinov2"][2], tmp_path)
    with pytest.raises(ValueError, match=r"layer must be in \[-4, 3\] for a model of 3 blocks, got 4"):
        DINOv2(str(tmp_path), layer=4, image_size=32)
    with pytest.raises(ValueError, match="image_size must be a multiple of the patch size 8, got 30"):
        DINOv2(str(tmp_path), image_size=30)


def test_packaged_dinov2_is_layer_nine_with_the_final_norm(frames):
    if not weights.is_present("dinov2_small"):
        pytest.skip("needs `feat2go weights get dinov2_small`")
    folder = weights.path("dinov2_small")
    model, info = Dinov2Model.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    encoder = DINOv2Small(image_size=56)
    with torch.no_grad():
        hidden = model(Preprocess(56)(frames[:2]), output_hidden_states=True).hidden_states[9]
        expected = model.layernorm(hidden)[:, 1:]
    assert encoder.feature_shape == (16, 384)
    torch.testing.assert_close(encoder.encode_images(frames[:2]), expected, rtol=1e-4, atol=1e-4)
