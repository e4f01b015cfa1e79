"""What stages are compared with: the simulator's milestones, labels by hand, or phases of the motion."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from feat2go.core.types import Episode
from feat2go.progress.audit.sample import Milestones

COLUMNS = ("episode", "frame", "milestone")
# An arm that moves at less than this share of its usual speed rests.
REST_SHARE = 0.25


def simulator_milestones(episode: Episode) -> Milestones:
    """First frame of each milestone that the simulator counted; empty if it counted none."""
    if episode.milestones is None:
        return {}
    furthest = np.asarray(episode.milestones)
    return {f"milestone {k}": int(np.argmax(furthest >= k)) for k in range(1, int(furthest.max(initial=0)) + 1)}


def motion_phases(actions: np.ndarray) -> Milestones:
    """Phases told from the commands, where nothing better is known.

    A phase begins where the gripper's command (the last action dimension) changes sign, and where the arm (the other
    ones) sets off after a rest: less than a quarter of the median speed of the frames in which it moves.

    Args:
        actions: (T-1, A), with A at least 2.

    Returns:
        ``"gripper 1"``, ``"motion 1"``, ... -> frame.
    """
    if len(actions) < 2 or actions.shape[1] < 2:
        return {}
    is_closed = actions[:, -1] < 0
    speed = np.linalg.norm(actions[:, :-1], axis=1)
    moving = speed[speed > 0]
    is_resting = speed < REST_SHARE * np.median(moving) if len(moving) else np.ones(len(speed), bool)
    switches = np.flatnonzero(is_closed[1:] != is_closed[:-1]) + 1
    starts = np.flatnonzero(is_resting[:-1] & ~is_resting[1:]) + 1
    phases = {f"gripper {k}": int(frame) for k, frame in enumerate(switches, start=1)}
    return phases | {f"motion {k}": int(frame) for k, frame in enumerate(starts, start=1)}


def read_milestones(path: str | Path, lengths: Mapping[str, int]) -> dict[str, Milestones]:
    """Milestones from a CSV with the columns episode, frame and milestone, one row where one is first reached.

    Args:
        path: the file. An episode is named by its uid, or by its number in the dataset.
        lengths: uid -> number of frames, in the order of the dataset.

    Returns:
        uid -> milestones, of the episodes that the file names.

    Raises:
        FileNotFoundError: without such a file.
        ValueError: naming the line and the column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file of milestones; it is a CSV with the columns {', '.join(COLUMNS)}"
        )
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path}: column '{missing[0]}' is missing; found {', '.join(reader.fieldnames or ())}")
        found: dict[str, Milestones] = {}
        for row in reader:
            where = f"{path}: line {reader.line_num}"
            uid = _episode_named((row["episode"] or "").strip(), list(lengths), where)
            name = (row["milestone"] or "").strip()
            if not name:
                raise ValueError(f"{where}: column 'milestone' is empty")
            frame = _frame((row["frame"] or "").strip(), lengths[uid], where)
            if name in found.setdefault(uid, {}):
                raise ValueError(f"{where}: milestone '{name}' of episode '{uid}' has a row already")
            found[uid][name] = frame
    if not found:
        raise ValueError(f"{path}: there are no milestones in it")
    return found


def _episode_named(name: str, uids: Sequence[str], where: str) -> str:
    if name in uids:
        return name
    numbered = f"traj_{name}"
    if numbered in uids:
        return numbered
    if name.isdecimal() and int(name) < len(uids):
        return uids[int(name)]
    shown = ", ".join(uids[:3]) + (", ..." if len(uids) > 3 else "")
    raise ValueError(f"{where}: column 'episode' is '{name}', but the dataset has {len(uids)} episodes: {shown}")


def _frame(text: str, num_frames: int, where: str) -> int:
    try:
        frame = int(text)
    except ValueError:
        raise ValueError(f"{where}: column 'frame' is '{text}', not a whole number") from None
    if not 0 <= frame < num_frames:
        raise ValueError(f"{where}: column 'frame' is {frame}, but the episode has the frames 0 to {num_frames - 1}")
    return frame
