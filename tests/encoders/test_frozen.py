import torch
from torch import nn

from feat2go.encoders.frozen import FrozenEncoder


class MeanColour(nn.Module):
    """One patch of D=3 through a linear layer and dropout; remembers the sizes of its batches."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.dropout = nn.Dropout(0.5)
        self.batches = []

    def forward(self, frames):
        self.batches.append(len(frames))
        return self.dropout(self.linear(frames.float().mean((1, 2))))[:, None]


def encoder(batch_size=2, seed=0, **settings):
    torch.manual_seed(seed)
    return FrozenEncoder(MeanColour(), (1, 3), settings, batch_size)


def test_batches_are_bounded_and_in_order(frames):
    frozen = encoder()
    features = frozen.encode_images(frames)
    assert frozen.network.batches == [2, 2, 1]
    torch.testing.assert_close(features, encoder(batch_size=5).encode_images(frames))


def test_episode_is_the_images_in_half_precision_without_look_ahead(frames):
    frozen = encoder()
    track = frozen.encode_episode(frames)
    assert track.features.dtype == torch.float16
    torch.testing.assert_close(track.features, frozen.encode_images(frames).half(), rtol=0, atol=0)
    assert track.frame_index.tolist() == [0, 1, 2, 3, 4]
    assert track.fingerprint == frozen.fingerprint


def test_training_the_whole_changes_nothing(frames):
    frozen = encoder()
    before = frozen.encode_images(frames)
    nn.Sequential(frozen).train()
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    torch.testing.assert_close(frozen.encode_images(frames), before, rtol=0, atol=0)


def test_features_can_be_learned_from(frames):
    head = nn.Linear(3, 1)
    head(encoder().encode_images(frames)).sum().backward()
    assert head.weight.grad.isfinite().all()


def test_fingerprint_is_of_weights_and_settings_not_of_batching():
    known = encoder(layer=1).fingerprint
    assert encoder(layer=1, batch_size=7).fingerprint == known
    assert encoder(layer=2).fingerprint != known
    assert encoder(layer=1, seed=1).fingerprint != known
    nudged = encoder(layer=1)
    with torch.no_grad():
        nudged.network.linear.bias[0] += 1e-6
    assert nudged.fingerprint != known


def test_frames_are_moved_to_the_encoder():
    # The meta device stands for any other device: its tensors have no values, only a place.
    frozen = encoder().to("meta")
    assert frozen.encode_images(torch.zeros(3, 4, 4, 3, dtype=torch.uint8)).device.type == "meta"
