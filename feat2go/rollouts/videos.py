"""Small videos of evaluated episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from feat2go.core.files import atomic_write

# Small pictures are enlarged by a whole factor to about this many pixels: players blur what they enlarge.
SIDE = 256


class VideoFolder:
    """Keeps videos of the first successes and the first failures.

    Args:
        path: of the folder; made when the first video is.
        num_videos: at most; half of them successes (one more if odd), half failures.
        fps: frames per second of the videos.

    Attributes:
        room: outcome -> how many more videos are wanted of it.
    """

    def __init__(self, path: Path, num_videos: int, fps: float) -> None:
        self.path = Path(path)
        self.room = {True: (num_videos + 1) // 2, False: num_videos // 2}
        self._fps = fps

    @property
    def has_room(self) -> bool:
        """Whether any more videos are wanted."""
        return any(self.room.values())

    def add(self, seed: int, success: bool, frames: Sequence[Tensor]) -> str:
        """Write the video of an episode if there is room for its outcome.

        Args:
            seed: the episode's.
            success: its outcome.
            frames: each uint8 (H, W, 3).

        Returns:
            Its path relative to the folder's parent, or an empty string.
        """
        if not self.room[success]:
            return ""
        self.room[success] -= 1
        name = f"{seed}_{'success' if success else 'failure'}.mp4"
        write_video(self.path / name, np.stack([frame.numpy() for frame in frames]), self._fps)
        return f"{self.path.name}/{name}"


def write_video(path: Path, frames: np.ndarray, fps: float) -> None:
    """Write an H.264 mp4 that every browser plays.

    Args:
        path: the file.
        frames: uint8 (T, H, W, 3).
        fps: frames per second.
    """
    import imageio_ffmpeg

    factor = max(1, SIDE // max(frames.shape[1:3]))
    large = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    # The codec halves the resolution of colour, so it needs even sides.
    height, width = (side - side % 2 for side in large.shape[1:3])
    with atomic_write(path) as partial:
        writer = imageio_ffmpeg.write_frames(
            str(partial), (width, height), fps=fps, macro_block_size=1, ffmpeg_log_level="error"
        )
        writer.send(None)
        for frame in large:
            writer.send(np.ascontiguousarray(frame[:height, :width]))
        writer.close()
