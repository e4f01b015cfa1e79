import runpy
from pathlib import Path

import pytest
import torch

from feat2go.core import FeatureTrack

make_tiny_vlm = runpy.run_path(str(Path(__file__).with_name("make_tiny_vlm.py")))["make_tiny_vlm"]


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory):
    """A function that makes a tiny checkpoint of an image-text model, once, and returns its folder."""
    root = tmp_path_factory.mktemp("vlm")
    return lambda family: root / family if (root / family).exists() else make_tiny_vlm(family, root / family)


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
