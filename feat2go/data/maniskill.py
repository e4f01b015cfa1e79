"""ManiSkill's trajectory files: a .h5 with one group per episode, and a .json of the same name beside it.

Source: ManiSkill 3, ``mani_skill.utils.wrappers.RecordEpisode`` and ``mani_skill.trajectory``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from feat2go.core import Episode
from feat2go.core.files import atomic_write
from feat2go.core.lazy import LazySequence
from feat2go.data.hdf5 import DAMAGE, DatasetError, contains, find_group, open_hdf5, read_array
from feat2go.data.trajectory import SENSOR_DATA, read_trajectory, write_trajectory

# What ManiSkill simulates at unless told otherwise, in Hz.
DEFAULT_FPS = 20.0
MISSING = object()
_FPS = "env_info.env_kwargs.sim_config.control_freq"


class NoPicturesError(DatasetError):
    """An episode was recorded without pictures."""


class ManiSkillDataset(LazySequence[Episode]):
    """ManiSkill's trajectory .h5 with its .json, as ``RecordEpisode`` and ``replay_trajectory`` write them.

    Needs pictures (an ``obs_mode`` with rgb) and normalised deltas as actions (a ``control_mode`` with delta); the
    errors name the command that makes both of any recording. Actions are clipped to [-1, 1], as ManiSkill itself does,
    and rotations are turned to feat2go's sign, see :func:`write_maniskill`. The state is ``obs/state`` where there is
    one: in ``obs_mode='rgb+state'`` it includes the poses of objects. There are no milestones.

    Args:
        path: the .h5 file.
        instruction: what all episodes are about; by default the words of the task's id, ``"push cube"``.
        any_control: accept every control mode and leave the actions as they were recorded, for who only looks at them.

        check_first: read the first episode now: what is wrong with it is mostly wrong with all.

    Raises:
        DatasetError: here if the .json or the first episode is unfit, on access if another episode is:
            ``NoPicturesError`` if it was recorded without. The message names file and field.
    """

    def __init__(
        self, path: str | Path, instruction: str = "", any_control: bool = False, check_first: bool = True
    ) -> None:
        self.path = Path(path)
        self._json_path = self.path.with_suffix(".json")
        description = _load_json(self._json_path)
        self.env_id = str(self._required(description, "env_info.env_id"))
        self._entries = self._required(description, "episodes")
        if not isinstance(self._entries, list):
            raise DatasetError(f"{self._json_path}: field 'episodes' is not a list")
        self._control_mode = _lookup(description, "env_info.env_kwargs.control_mode")
        fps = _lookup(description, _FPS)
        if fps is not MISSING and not _is_positive(fps):
            raise DatasetError(f"{self._json_path}: field '{_FPS}' is {fps!r}, not a positive number")
        self._fps = DEFAULT_FPS if fps is MISSING else float(fps)
        self._instruction = instruction or _words_of(self.env_id)
        self._any_control = any_control
        # Camera -> (H, W, 3) of the first episode that was read, which all others must share.
        self._frame_shapes: dict[str, tuple[int, ...]] = {}
        if self._entries and check_first:
            self._read(0)

    @classmethod
    def unchecked(cls, path: Path) -> ManiSkillDataset:
        """Without a look at the first episode, which may be damaged."""
        return cls(path, check_first=False)

    @classmethod
    def detect(cls, path: Path) -> bool:
        """Whether ``path`` looks like this format."""
        return path.suffix == ".h5" and path.is_file()

    def __len__(self) -> int:
        return len(self._entries)

    def without_pictures(self, number: int) -> Episode:
        """An episode with no frames at all, however it was recorded."""
        return self._read(number, has_pictures=False)

    def control_mode(self, number: int) -> str:
        """ManiSkill's name of what the actions of an episode mean."""
        entry = self._entries[number]
        where = f"episodes[{number}]"
        return str(self._required({"control_mode": self._control_mode} | entry, "control_mode", where))

    def _read(self, number: int, has_pictures: bool = True) -> Episode:
        entry, where = self._entries[number], f"episodes[{number}]"
        if not isinstance(entry, dict):
            raise DatasetError(f"{self._json_path}: field '{where}' is {entry!r}, not an object")
        name = f"traj_{self._required(entry, 'episode_id', where)}"
        with open_hdf5(self.path) as file:
            if not contains(file, name):
                raise DatasetError(f"{self._json_path}: {where} is {name}, but {self.path} has no such group")
            group = find_group(file, name)
            trajectory = read_trajectory(file, name, self._cameras(group) if has_pictures else [])
            outcome = read_array(group, "success", bool, (None,)) if contains(group, "success") else np.empty(0, bool)
        num_actions = len(trajectory.actions)
        if entry.get("elapsed_steps", num_actions) != num_actions:
            raise DatasetError(
                f"{self._json_path}: {where}.elapsed_steps is {entry['elapsed_steps']}, "
                f"but {self.path} has {num_actions} actions in /{name}/actions"
            )
        mode = self.control_mode(number)
        self._require_same_pictures({camera: frames.shape[1:] for camera, frames in trajectory.frames.items()}, name)
        actions = trajectory.actions
        if not self._any_control:
            actions = _turned(self._require_delta(actions, mode), mode).clip(-1, 1)
        return Episode(
            frames=trajectory.frames,
            instruction=self._instruction,
            actions=actions,
            state=trajectory.state,
            success=self._success(entry, where, outcome, name),
            milestones=None,
            uid=name,
            env_id=self.env_id,
            seed=self._seed(entry, where),
            fps=self._fps,
        )

    def _cameras(self, group: h5py.Group) -> list[str]:
        try:
            sensors = group.get(SENSOR_DATA)
            cameras = [camera for camera, data in sensors.items() if "rgb" in data] if sensors is not None else []
        except (*DAMAGE, AttributeError, TypeError) as error:
            raise DatasetError(f"{self.path}: {group.name}/{SENSOR_DATA} is damaged ({error})") from None
        if not cameras:
            raise NoPicturesError(
                f"{self.path}: {group.name}/{SENSOR_DATA} has no rgb, so it was recorded without pictures; "
                f"{self._replay_hint()}"
            )
        return cameras

    def _require_same_pictures(self, shapes: dict[str, tuple[int, ...]], name: str) -> None:
        self._frame_shapes = expected = self._frame_shapes or shapes
        if not shapes or shapes == expected:
            return
        camera = next(camera for camera in (*expected, *shapes) if shapes.get(camera) != expected.get(camera))
        found = f"is {shapes[camera]}" if camera in shapes else "is missing"
        others = f"have {expected[camera]}" if camera in expected else "have no such camera"
        raise DatasetError(f"{self.path}: /{name}/{SENSOR_DATA}/{camera}/rgb {found}; the episodes before {others}")

    def _require_delta(self, actions: np.ndarray, mode: str) -> np.ndarray:
        if "delta" in mode:
            return actions
        raise DatasetError(
            f"{self._json_path}: field 'control_mode' is '{mode}', whose actions are not deltas in [-1, 1]; "
            f"{self._replay_hint()}"
        )

    def _replay_hint(self) -> str:
        return (
            f"replay it first: python -m mani_skill.trajectory.replay_trajectory --traj-path {self.path} "
            "--obs-mode rgb --target-control-mode pd_ee_delta_pose --save-traj"
        )

    def _success(self, entry: dict[str, Any], where: str, outcome: np.ndarray, name: str) -> bool:
        stated = entry.get("success")
        if stated is None and len(outcome) == 0:
            raise DatasetError(
                f"{self._json_path}: field '{where}.success' is missing, and {self.path} has none either"
            )
        if stated is not None and len(outcome) and bool(stated) != bool(outcome[-1]):
            raise DatasetError(
                f"{self._json_path}: {where}.success is {bool(stated)}, but /{name}/success in {self.path} ends with "
                f"{bool(outcome[-1])}"
            )
        return bool(outcome[-1] if stated is None else stated)

    def _seed(self, entry: dict[str, Any], where: str) -> int:
        seed = entry.get("episode_seed", _lookup(entry, "reset_kwargs.seed"))
        if isinstance(seed, list) and len(seed) == 1:
            seed = seed[0]
        if not isinstance(seed, int):
            raise DatasetError(f"{self._json_path}: field '{where}.episode_seed' is missing or no whole number")
        return seed

    def _required(self, values: Any, name: str, where: str = "") -> Any:
        found = _lookup(values, name)
        if found is MISSING:
            raise DatasetError(f"{self._json_path}: field '{where}{'.' if where else ''}{name}' is missing")
        return found


def write_maniskill(path: str | Path, episodes: Iterable[Episode], control_mode: str = "pd_ee_delta_pose") -> None:
    """Write episodes of one environment as ManiSkill's own tools read them. Both files appear when all is written.

    ManiSkill multiplies the rotation in end-effector deltas by a negative scale, so in its files it has the opposite
    sign to feat2go's right-handed one; it is turned here and by :class:`ManiSkillDataset`. The state is written as
    ``obs/state``.

    Args:
        path: the .h5 file; the .json goes beside it.
        episodes: one at a time is in memory.
        control_mode: ManiSkill's name for what the actions mean.

    Raises:
        ValueError: without episodes, or if they are of several environments.
    """
    target = Path(path)
    entries: list[dict[str, Any]] = []
    env_ids: set[str] = set()
    with atomic_write(target) as partial, atomic_write(target.with_suffix(".json")) as partial_json:
        with h5py.File(partial, "w") as file:
            for number, episode in enumerate(episodes):
                group = file.create_group(f"traj_{number}", track_order=True)
                write_trajectory(group, episode)
                group["actions"][...] = _turned(episode.actions, control_mode)
                env_ids.add(episode.env_id)
                entries.append(_entry(number, episode, control_mode))
        if len(env_ids) != 1:
            raise ValueError(f"a ManiSkill file holds episodes of one environment; got {sorted(env_ids) or 'none'}")
        env_info = {
            "env_id": env_ids.pop(),
            "env_kwargs": {"obs_mode": "rgb", "control_mode": control_mode},
            "max_episode_steps": max(entry["elapsed_steps"] for entry in entries),
        }
        partial_json.write_text(json.dumps({"env_info": env_info, "episodes": entries}, indent=2) + "\n")


def _entry(number: int, episode: Episode, control_mode: str) -> dict[str, Any]:
    return {
        "episode_id": number,
        "episode_seed": episode.seed,
        "control_mode": control_mode,
        "elapsed_steps": len(episode.actions),
        "reset_kwargs": {"seed": episode.seed, "options": {}},
        "success": episode.success,
    }


def _turned(actions: np.ndarray, control_mode: str) -> np.ndarray:
    """Actions with the sign of their rotation changed, from ManiSkill's convention to ours or back."""
    if control_mode not in ("pd_ee_delta_pose", "pd_ee_target_delta_pose"):
        return actions
    signs = np.array([1, 1, 1, -1, -1, -1, 1], np.float32)
    return actions * signs[: actions.shape[1]]


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; a ManiSkill .h5 has its .json beside it") from None
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON ({error})") from None


def _lookup(values: Any, name: str) -> Any:
    """The value at a dotted path, or ``MISSING``."""
    for key in name.split("."):
        if not isinstance(values, dict) or values.get(key, MISSING) in (None, MISSING):
            return MISSING
        values = values[key]
    return values


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < float("inf")


def _words_of(env_id: str) -> str:
    """``"PushCube-v1"`` -> ``"push cube"``."""
    name = re.sub(r"-v\d+$", "", env_id)
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)).lower()
