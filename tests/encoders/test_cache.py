import logging

import pytest
import torch

from feat2go.encoders.baselines import PixelPatches, RandomPatches
from feat2go.encoders.cache import CachedEncoder
from feat2go.encoders.hashing import tensor_sha256


def entries(root):
    return sorted(root.rglob("*.safetensors"))


def refuse(*_):
    pytest.fail("the encoder was called")


def hash_of_frames_only(tensor):
    assert tensor.dtype == torch.uint8
    return tensor_sha256(tensor)


@pytest.fixture
def encoder():
    return RandomPatches(width=8, image_size=32, patch_size=16)


def test_second_time_is_read_from_disk(encoder, frames, tmp_path, monkeypatch):
    computed = CachedEncoder(encoder, tmp_path).encode_episode(frames)
    monkeypatch.setattr(encoder, "encode_episode", refuse)
    read = CachedEncoder(encoder, tmp_path).encode_episode(frames)
    assert read.features.dtype == torch.float16
    assert torch.equal(read.features, computed.features)
    assert torch.equal(read.frame_index, computed.frame_index)
    assert read.fingerprint == computed.fingerprint == encoder.fingerprint


def test_default_root_is_under_home(encoder, frames, tmp_path, monkeypatch):
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path))
    CachedEncoder(encoder).encode_episode(frames)
    assert len(entries(tmp_path / "features")) == 1


def test_other_frames_and_other_encoders_have_their_own_entries(encoder, frames, tmp_path):
    other = RandomPatches(width=8, image_size=32, patch_size=16, seed=1)
    edited = frames.clone()
    edited[0, 0, 0, 0] += 1
    cut = frames.reshape(5, 48, 40, 3)
    for used, shown in [(encoder, frames), (encoder, edited), (encoder, cut), (encoder, frames[:4]), (other, frames)]:
        cached = CachedEncoder(used, tmp_path)
        for _ in range(2):
            assert torch.equal(cached.encode_episode(shown).features, used.encode_episode(shown).features)
    assert len(entries(tmp_path)) == 5


def truncate(content):
    return content[: len(content) // 2]


def flip_last_bit(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def garble_header(content):
    return b"\xff" * 16 + content[16:]


@pytest.mark.parametrize("damage", [truncate, flip_last_bit, garble_header, lambda content: b""])
def test_damaged_entry_is_noticed_and_rebuilt(encoder, frames, tmp_path, caplog, monkeypatch, damage):
    cached = CachedEncoder(encoder, tmp_path)
    expected = cached.encode_episode(frames).features
    (entry,) = entries(tmp_path)
    entry.write_bytes(damage(entry.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(cached.encode_episode(frames).features, expected)
    assert "damaged" in caplog.text
    assert str(entry) in caplog.text
    monkeypatch.setattr(encoder, "encode_episode", refuse)
    assert torch.equal(cached.encode_episode(frames).features, expected)


def test_writing_behind_keeps_what_the_encoder_gave(encoder, frames, tmp_path, monkeypatch):
    episodes = [frames[start:] for start in range(4)]
    cached = CachedEncoder(encoder, tmp_path)
    computed = []
    with cached.writing_behind():
        computed += [cached.encode_episode(episode).features for episode in episodes]
        with monkeypatch.context() as patch:
            patch.setattr(encoder, "encode_episode", refuse)
            # The last may not be on disk yet: it is waited for.
            assert torch.equal(cached.encode_episode(episodes[-1]).features, computed[-1])
    assert len(entries(tmp_path)) == len(episodes)
    monkeypatch.setattr(encoder, "encode_episode", refuse)
    for episode, features in zip(episodes, computed, strict=True):
        assert torch.equal(cached.encode_episode(episode).features, features)


def test_what_is_read_again_behind_is_not_checked_again(encoder, frames, tmp_path, caplog, monkeypatch):
    expected = CachedEncoder(encoder, tmp_path).encode_episode(frames).features
    cached = CachedEncoder(encoder, tmp_path)
    with cached.writing_behind():
        cached.encode_episode(frames)
        with monkeypatch.context() as patch:
            patch.setattr("feat2go.encoders.cache.tensor_sha256", hash_of_frames_only)
            assert torch.equal(cached.encode_episode(frames).features, expected)
    (entry,) = entries(tmp_path)
    entry.write_bytes(flip_last_bit(entry.read_bytes()))
    with cached.writing_behind():
        assert torch.equal(cached.encode_episode(frames).features, expected)
    assert "damaged" in caplog.text


@pytest.mark.parametrize("num_episodes", [1, 3])
def test_features_that_cannot_be_written_behind_are_an_error(encoder, frames, tmp_path, num_episodes):
    root = tmp_path / "file"
    root.write_text("where the folder should be")
    cached = CachedEncoder(encoder, root)

    def encode_all():
        with cached.writing_behind():
            for start in range(num_episodes):
                cached.encode_episode(frames[start:])

    with pytest.raises(OSError, match="file"):
        encode_all()


def test_interrupted_computation_leaves_no_entry(encoder, frames, tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(encoder, "encode_episode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(encoder, tmp_path).encode_episode(frames)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_images_pass_through(frames, tmp_path):
    encoder = PixelPatches()
    cached = CachedEncoder(encoder, tmp_path)
    assert torch.equal(cached.encode_images(frames), encoder.encode_images(frames))
    assert cached.feature_shape == encoder.feature_shape
    assert not entries(tmp_path)
