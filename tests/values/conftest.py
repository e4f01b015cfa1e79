import pytest
import torch

from feat2go.core import FeatureTrack


class PatchMeans(torch.nn.Module):
    """An encoder without a past: mean colour of each of 2x2 patches, times a weight."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.noise = torch.nn.Dropout(0.5)
        self.fingerprint = f"patch-means-{weight}"
        self.feature_shape = (4, 3)

    def encode_images(self, images):
        pixels = images.float().permute(0, 3, 1, 2) / 255
        patches = torch.nn.functional.adaptive_avg_pool2d(pixels, 2)
        return self.noise(self.weight * patches.flatten(2).transpose(1, 2))

    def encode_episode(self, frames):
        return FeatureTrack(self.encode_images(frames).half(), torch.arange(len(frames)), self.fingerprint)


@pytest.fixture
def patch_means():
    return PatchMeans
