import numpy as np
import pytest
import torch

from feat2go.report.episodes import _shrunk, read_video, shown_demonstrations, shown_failures


class Brightness:
    def predict(self, images, instruction):
        assert images.dtype == torch.uint8
        assert instruction == ["slide to the end"] * len(images)
        return images.float().mean((1, 2, 3)) / 255


def test_the_held_out_demonstrations_are_shown(slide, find):
    runs = find(slide)
    shown = shown_demonstrations(runs.demonstrations[0], runs.fits_of("value"), Brightness())
    # Two of five, by the share in the config.
    assert len(shown) == 2
    assert all("was not trained on" in one.note for one in shown)
    for one in shown:
        assert one.target.tolist() == torch.linspace(0, 1, 6).tolist()
        assert one.prediction.tolist() == pytest.approx([(50 + 30 * t) / 255 for t in range(6)], rel=1e-6)


def test_without_the_value_models_config_nothing_is_claimed(slide, find):
    runs = find(slide)
    shown = shown_demonstrations(runs.demonstrations[0], [], None)
    assert [one.episode.uid for one in shown] == ["slide-0", "slide-1", "slide-2"]
    assert all("may have been trained on" in one.note and one.prediction is None for one in shown)


def test_failures_come_from_their_videos_at_the_size_that_they_had(slide, find):
    evaluation = find(slide).evaluations[-1]
    (shown,) = shown_failures(evaluation, 16, Brightness())
    frames = shown.episode.frames["video"]
    assert frames.shape == (7, 16, 16, 3)
    # H.264 is lossy; the bright band is where it was.
    assert frames[:, 5:7].mean() == pytest.approx(200, abs=4)
    assert frames[:, 9:].mean() == pytest.approx(0, abs=4)
    assert len(shown.prediction) == 7
    assert shown.target is None
    (large,) = shown_failures(evaluation, None, Brightness())
    assert large.episode.frames["video"].shape == (7, 256, 256, 3)


def test_blocks_become_pixels_again():
    small = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(_shrunk(large, 4), small)
    for side in (5, 12, 20, None):
        assert _shrunk(large, side) is large


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises((OSError, RuntimeError)):
        read_video(tmp_path / "a.mp4")
