"""Features of episodes on disk, so that each is computed once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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
        self._thread: ThreadPoolExecutor | None = None
        # At most one.
        self._writing: dict[Path, Future[None]] = {}
        # Names of entries whose content is known to be right.
        self._checked: set[str] = set()

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
        if entry in self._writing:
            self._finish_writing()
        if entry.exists():
            try:
                tensors = _read(entry, is_checked=entry.name in self._checked)
                self._note_checked(entry)
                return FeatureTrack(*tensors, self.fingerprint)
            except (SafetensorError, OSError, ValueError) as error:
                log.warning("cached features %s are damaged (%s); computing them again", entry, error)
        track = self.encoder.encode_episode(frames)
        if self._thread is None:
            _write(entry, track)
        else:
            self._finish_writing()
            self._writing = {entry: self._thread.submit(_write, entry, track)}
            self._note_checked(entry)
        return track

    @contextmanager
    def writing_behind(self) -> Iterator[None]:
        """Inside, a thread writes an episode's features while the next ones are computed. All are on disk at the end.

        What has been written or read inside is not compared with its checksum when it is read again: clusterings that
        look at a whole task read every episode twice. The features handed out must not be changed in place.

        Raises:
            OSError: if they can't be written; of an episode, when the next one has been encoded.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="features") as thread:
            self._thread = thread
            try:
                yield
                self._finish_writing()
            finally:
                self._thread, self._writing, self._checked = None, {}, set()

    def _note_checked(self, entry: Path) -> None:
        if self._thread is not None:
            self._checked.add(entry.name)

    def _finish_writing(self) -> None:
        for writing in self._writing.values():
            writing.result()


def _write(entry: Path, track: FeatureTrack) -> None:
    tensors = {"features": track.features.contiguous(), "frame_index": track.frame_index.contiguous()}
    checksums = {name: tensor_sha256(tensor) for name, tensor in tensors.items()}
    with atomic_write(entry) as partial:
        partial.write_bytes(save(tensors, metadata={"sha256": json.dumps(checksums)}))


def _read(entry: Path, is_checked: bool) -> tuple[Tensor, Tensor]:
    with safe_open(entry, framework="pt") as file:
        checksums = json.loads((file.metadata() or {}).get("sha256", "{}"))
        tensors = {name: file.get_tensor(name) for name in ("features", "frame_index")}
    for name, tensor in tensors.items():
        if not is_checked and checksums.get(name) != tensor_sha256(tensor):
            raise ValueError(f"the checksum of {name} is wrong")
    return tensors["features"], tensors["frame_index"]
