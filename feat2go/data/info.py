"""What the episodes of one folder share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from feat2go.core import Episode, Frames, VectorEnv
from feat2go.core.files import atomic_write
from feat2go.data.hdf5 import DatasetError

FORMAT = "feat2go-episodes"
VERSION = 1


@dataclass(frozen=True)
class DatasetInfo:
    """The fields of ``dataset.json``.

    Attributes:
        env_id: the task.
        cameras: the first is the one that value models look through.
        image_size: side of the square frames in pixels.
        fps: control frequency in Hz.
        action_dim, state_dim: A and S; S is 0 for none.
        milestones: names of the simulator's own stages, in order.
    """

    env_id: str
    cameras: tuple[str, ...]
    image_size: int
    fps: float
    action_dim: int
    state_dim: int
    milestones: tuple[str, ...]

    @classmethod
    def of_env(cls, env: VectorEnv) -> DatasetInfo:
        """What the episodes of an environment share."""
        return cls(
            env_id=env.env_id,
            cameras=tuple(env.cameras),
            image_size=env.image_size,
            fps=float(env.fps),
            action_dim=env.action_dim,
            state_dim=env.state_dim,
            milestones=tuple(env.milestones),
        )

    @classmethod
    def load(cls, path: Path) -> DatasetInfo:
        """Read ``dataset.json``.

        Raises:
            DatasetError: if it is missing, something else, or of another version.
        """
        try:
            values: Any = json.loads(path.read_text())
        except FileNotFoundError:
            raise DatasetError(f"{path}: no such file; every folder of episodes has one") from None
        except ValueError as error:
            raise DatasetError(f"{path} is not JSON ({error})") from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DatasetError(f"{path}: field 'format' is not '{FORMAT}', so this is not a folder of episodes")
        if values.get("version") != VERSION:
            raise DatasetError(f"{path}: field 'version' is {values.get('version')}; this feat2go reads {VERSION}")
        missing = [f.name for f in fields(cls) if f.name not in values]
        if missing:
            raise DatasetError(f"{path}: field '{missing[0]}' is missing")
        found: dict[str, Any] = {f.name: values[f.name] for f in fields(cls)}
        lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return cls(**(found | lists))

    def save(self, path: Path) -> None:
        """Write ``dataset.json``."""
        with atomic_write(path) as partial:
            partial.write_text(json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=2) + "\n")

    def mismatch(self, episode: Episode) -> str | None:
        """In which field an episode differs, as a sentence, or None."""
        if set(episode.frames) != set(self.cameras):
            return f"cameras are {sorted(episode.frames)}, not {sorted(self.cameras)}"
        found = {
            "env_id": episode.env_id,
            "fps": episode.fps,
            "action_dim": episode.actions.shape[1],
            "state_dim": 0 if episode.state is None else episode.state.shape[1],
        }
        for name, value in found.items():
            if value != getattr(self, name):
                return f"{name} is {value!r}, not {getattr(self, name)!r}"
        frame_shape = (self.image_size, self.image_size, 3)
        for camera, frames in episode.frames.items():
            if shape_of(frames)[1:] != frame_shape:
                return f"frames of camera '{camera}' are {shape_of(frames)[1:]}, not {frame_shape}"
        return None


def shape_of(frames: Frames) -> tuple[int, ...]:
    """(T, H, W, 3), without decoding where the frames know it."""
    known = getattr(frames, "shape", None)
    return (len(frames), *np.asarray(frames[:1]).shape[1:]) if known is None else tuple(known)
