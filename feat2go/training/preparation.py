"""The frozen part of a value network on whole episodes, through the feature cache where that gives the same."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from feat2go.encoders.cache import CachedEncoder

log = logging.getLogger(__name__)


class FramePreparation:
    """``network.prepare`` for the frames of an episode, off the device.

    Labelling has often left the same encoder's features on disk. They are the same unless the encoder looks at more
    than one frame; so the first episode is prepared both ways, and the cache is left alone where the two differ.

    Args:
        network: a :class:`feat2go.values.network.ValueNetwork`.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self._cache = None if network.image_encoder is None else CachedEncoder(network.image_encoder)
        self._is_compared = False

    def __call__(self, frames: Tensor) -> Tensor:
        """uint8 (T, H, W, 3) on the CPU -> (T, ...) on the CPU."""
        if self._cache is None:
            return self._direct(frames)
        cached = self._cache.encode_episode(frames).features
        if self._is_compared:
            return cached
        self._is_compared = True
        direct = self._direct(frames)
        if not _same(cached, direct):
            log.warning("the encoder sees more of an episode than single frames; features are not taken from the cache")
            self._cache = None
        return direct

    def _direct(self, frames: Tensor) -> Tensor:
        device = next(self._network.parameters()).device
        return prepare_frames(self._network, frames.to(device)).cpu()


def prepare_frames(network: Any, frames: Tensor) -> Tensor:
    """``network.prepare`` of frames on the network's device, without gradients and apart from any autocast."""
    with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
        prepared: Tensor = network.prepare(frames)
    return prepared


def _same(cached: Tensor, direct: Tensor) -> bool:
    # The size of a batch moves a feature by a rounding of float16.
    return cached.shape == direct.shape and torch.allclose(
        cached.float(), direct.float(), rtol=5e-3, atol=5e-3 * float(direct.float().std())
    )
