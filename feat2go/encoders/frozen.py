"""What every built-in encoder has in common: frozen, checked, batched, fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from feat2go.core import FeatureTrack
from feat2go.encoders.hashing import tensor_sha256
from feat2go.encoders.preprocess import check_frames


class FrozenEncoder(nn.Module):
    """A network without gradients, always in eval mode, that looks at each frame on its own.

    Args:
        network: uint8 (B, H, W, 3) -> (B, P, D), preprocessing included.
        feature_shape: (P, D).
        settings: whatever decides the features beside the weights, JSON-able; part of the fingerprint.
        batch_size: how many frames go through the network at once; it bounds memory.
    """

    def __init__(
        self, network: nn.Module, feature_shape: tuple[int, int], settings: Mapping[str, object], batch_size: int
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.network = network.eval().requires_grad_(False)
        self.batch_size = batch_size
        self._feature_shape = feature_shape
        self._settings = dict(settings)
        self._fingerprint: str | None = None
        # Tells the device also of a network without parameters.
        self._anchor: Tensor
        self.register_buffer("_anchor", torch.empty(0), persistent=False)

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(P, D)."""
        return self._feature_shape

    @property
    def fingerprint(self) -> str:
        """sha256 of class, settings and weights. The weights are read once.

        The names of the weights are left out: libraries rename them between releases.
        """
        if self._fingerprint is None:
            kind = f"{type(self).__module__}.{type(self).__qualname__}"
            tensors = sorted(tensor_sha256(tensor) for tensor in self.state_dict().values())
            described = json.dumps([kind, self._settings, tensors], sort_keys=True)
            self._fingerprint = hashlib.sha256(described.encode()).hexdigest()
        return self._fingerprint

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stay in eval mode: a trainer that switches its modules must not change the features."""
        return super().train(False)

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Features of frames, each on its own.

        Args:
            images: uint8 (B, H, W, 3) on any device.

        Returns:
            float32 (B, P, D) on the encoder's device.

        Raises:
            ValueError: for another dtype or shape, or no frames.
        """
        check_frames(images)
        return torch.cat([self.network(batch).float() for batch in self._batches(images)])

    @torch.no_grad()
    def encode_episode(self, frames: Tensor) -> FeatureTrack:
        """Features of consecutive frames.

        Args:
            frames: uint8 (T, H, W, 3) on any device.

        Returns:
            float16 (T, P, D) on the CPU; row t has seen frame t and nothing later.

        Raises:
            ValueError: for another dtype or shape, or no frames.
        """
        check_frames(frames)
        return self._track(self.network(batch) for batch in self._batches(frames))

    def _batches(self, frames: Tensor) -> Iterator[Tensor]:
        for batch in torch.split(frames, self.batch_size):
            yield batch.to(self._anchor.device)

    def _track(self, batches: Iterable[Tensor]) -> FeatureTrack:
        """A track with one row per frame from the features of its batches, gathered in float16 off the device."""
        features = torch.cat([batch.to("cpu", torch.float16) for batch in batches])
        return FeatureTrack(features, torch.arange(len(features)), self.fingerprint)
