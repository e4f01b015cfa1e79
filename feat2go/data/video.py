"""Frames of an episode inside a video file, decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from feat2go.data.hdf5 import DatasetError


@dataclass(frozen=True)
class VideoFrames:
    """Frames uint8 (T, H, W, 3) of one episode, in a video that may hold several.

    Holds no open file, so it can go to another process. What is in memory is what a slice asks for: decoding begins at
    the key frame before it.

    Attributes:
        path: the video.
        start_s: when the episode begins in it, in seconds.
        num_frames: T.
        fps: frames per second.
    """

    path: Path
    start_s: float
    num_frames: int
    fps: float

    def __len__(self) -> int:
        return self.num_frames

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The rows of a slice.

        Raises:
            DatasetError: if the file is missing, damaged, or ends before the episode.
        """
        wanted = range(self.num_frames)[rows]
        if not wanted:
            raise DatasetError(f"{self.path}: no frames in {rows}; the episode has {self.num_frames}")
        first, last = min(wanted), max(wanted)
        found = {number: image for number, image in self._decode(first, last) if number in wanted}
        missing = [number for number in wanted if number not in found]
        if missing:
            raise DatasetError(
                f"{self.path}: frame {missing[0]} of the episode that begins at {self.start_s:g} s is missing; the "
                "file is cut off, or its times are not those of meta/episodes"
            )
        return np.stack([found[number] for number in wanted])

    def _decode(self, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        """The number within the episode and the image of each frame, from ``first`` to ``last``."""
        av = import_av()
        try:
            with av.open(str(self.path)) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                # Half a frame early, so that rounding does not land behind the key frame.
                start_s = max(self.start_s + (first - 0.5) / self.fps, 0.0)
                container.seek(int(start_s / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    number = round((frame.time - self.start_s) * self.fps)
                    if number > last:
                        return
                    if number >= first:
                        yield number, frame.to_ndarray(format="rgb24")
        except FileNotFoundError:
            raise DatasetError(f"{self.path}: no such file") from None
        except (av.FFmpegError, IndexError, TypeError) as error:
            # Without a video stream there is an IndexError, of a frame without a time a TypeError.
            raise DatasetError(f"{self.path} can't be decoded: it is damaged or no video ({error})") from None


def import_av() -> ModuleType:
    """PyAV.

    Raises:
        ModuleNotFoundError: without it, with the command that installs it.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("videos are read with PyAV: pip install 'feat2go[lerobot]'") from error
    return av
