"""Features of episodes on disk, so that each is computed once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from feat2go.core import FeatureTrack
from feat2go.core.files import atomic_write, home
from feat2go.core.slots import Encoder
from feat2go.encoders.hashing import tensor_sha256
from feat2go.encoders.preprocess import check_frames

log = logging.getLogger(__name__)


class CachedEncoder(nn.Module):
    """An encoder that keeps the features of whole episodes on disk.

    An entry is found by the encoder's fingerprint and the content of the frames, so another encoder, other weights or
    an edited video never meet an old entry. It carries a checksum: a damaged one is logged and computed anew. Single
    images are not kept.

    Args:
        encoder: computes what is not there.
        root: folder of the entries, ``FEAT2GO_HOME/features`` by default.
    """

    def __init__(self, encoder: Encoder, root: Path | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.root = home() / "features" if root is None else Path(root)

    @property
    def fingerprint(self) -> str:
        """The encoder's own."""
        return self.encoder.fingerprint

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(P, D)."""
        return self.encoder.feature_shape

    def encode_images(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, P, D), computed each time."""
        return self.encoder.encode_images(images)

    def encode_episode(self, frames: Tensor) -> FeatureTrack:
        """uint8 (T, H, W, 3) -> the encoder's track, read from disk where it is there.

        Raises:
            ValueError: for another dtype or shape, or no frames.
        """
        check_frames(frames)
        entry = self.root / self.fingerprint / f"{tensor_sha256(frames)}.safetensors"
        if entry.exists():
            try:
                return FeatureTrack(*_read(entry), self.fingerprint)
            except (SafetensorError, OSError, ValueError) as error:
                log.warning("cached features %s are damaged (%s); computing them again", entry, error)
        track = self.encoder.encode_episode(frames)
        _write(entry, track)
        return track


def _write(entry: Path, track: FeatureTrack) -> None:
    tensors = {"features": track.features.contiguous(), "frame_index": track.frame_index.contiguous()}
    checksums = {name: tensor_sha256(tensor) for name, tensor in tensors.items()}
    with atomic_write(entry) as partial:
        partial.write_bytes(save(tensors, metadata={"sha256": json.dumps(checksums)}))


def _read(entry: Path) -> tuple[Tensor, Tensor]:
    with safe_open(entry, framework="pt") as file:
        checksums = json.loads((file.metadata() or {}).get("sha256", "{}"))
        tensors = {name: file.get_tensor(name) for name in ("features", "frame_index")}
    for name, tensor in tensors.items():
        if checksums.get(name) != tensor_sha256(tensor):
            raise ValueError(f"the checksum of {name} is wrong")
    return tensors["features"], tensors["frame_index"]
