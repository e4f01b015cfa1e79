"""What every built-in encoder has in common: frozen, checked, batched, fingerprinted."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from feat2go.core import FeatureTrack
from feat2go.encoders.preprocess import check_frames


class FrozenEncoder(nn.Module, ABC):
    """A network without gradients, always in eval mode, that looks at each frame on its own.

    A concrete encoder builds its network, calls :meth:`freeze` and gives ``feature_shape`` and :meth:`patch_features`.

    Args:
        batch_size: how many frames go through the network at once; it bounds memory.
        settings: whatever else than the weights decides the features, JSON-able. Part of the fingerprint.
    """

    def __init__(self, batch_size: int, settings: dict[str, object]) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        self._settings = settings
        self._fingerprint: str | None = None
        # Tells the device also of an encoder without parameters.
        self._anchor: Tensor
        self.register_buffer("_anchor", torch.empty(0), persistent=False)

    @property
    @abstractmethod
    def feature_shape(self) -> tuple[int, int]:
        """(P, D)."""

    @abstractmethod
    def patch_features(self, frames: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) with B <= batch_size, on the encoder's device -> (B, P, D)."""

    def freeze(self) -> None:
        """No gradients, no dropout, no running statistics."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stay in eval mode: a trainer that switches its modules must not change the features."""
        return super().train(False)

    @property
    def fingerprint(self) -> str:
        """sha256 of class, settings and weights. The weights are read once."""
        if self._fingerprint is None:
            kind = f"{type(self).__module__}.{type(self).__qualname__}"
            digest = hashlib.sha256(json.dumps([kind, self._settings], sort_keys=True).encode())
            for name, tensor in sorted(self.state_dict().items()):
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

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
        return torch.cat([self.patch_features(batch).float() for batch in self._batches(images)])

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
        return self._track(self.patch_features(batch) for batch in self._batches(frames))

    def _batches(self, frames: Tensor) -> Iterator[Tensor]:
        for batch in torch.split(frames, self.batch_size):
            yield batch.to(self._anchor.device)

    def _track(self, batches: Iterable[Tensor]) -> FeatureTrack:
        """A track of one row per frame from the features of its batches, gathered in float16 off the device."""
        features = torch.cat([batch.to("cpu", torch.float16) for batch in batches])
        return FeatureTrack(features, torch.arange(len(features)), self.fingerprint)
