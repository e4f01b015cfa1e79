"""Recordings of any kind, to look at: those without pictures get some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from feat2go.core.lazy import LazySequence
from feat2go.core.types import Episode
from feat2go.data.damage import ReadableEpisodes
from feat2go.data.formats import open_dataset
from feat2go.data.hdf5 import DatasetError, contains, find_group, open_hdf5, read_array
from feat2go.data.maniskill import ManiSkillDataset, NoPicturesError
from feat2go.envs.maniskill.replay import Replayer, States

KINDS = ("actors", "articulations")


def open_recording(path: str | Path, skip_damaged: bool = False) -> Sequence[Episode]:
    """Open a dataset whose actions don't matter: a ManiSkill .h5 may have any control mode, and no pictures.

    Args:
        path: file or folder.
        skip_damaged: leave out episodes that can't be read, see :class:`feat2go.data.ReadableEpisodes`.

    Raises:
        DatasetError: as :func:`feat2go.data.open_dataset`.
    """
    path = Path(path)
    if not ManiSkillDataset.detect(path):
        return open_dataset(path, skip_damaged)
    dataset = ManiSkillDataset(path, any_control=True, check_first=False)
    episodes = ReplayedRecording(dataset) if _has_no_pictures(dataset) else dataset
    return ReadableEpisodes(episodes) if skip_damaged else episodes


def _has_no_pictures(dataset: ManiSkillDataset) -> bool:
    """Of the first episode that can be read; without any, reading them will say what is wrong."""
    for number in range(len(dataset)):
        try:
            dataset[number]
        except NoPicturesError:
            return True
        except DatasetError:
            continue
        return False
    return False


class ReplayedRecording(LazySequence[Episode]):
    """A ManiSkill recording without pictures, such as the motion planner's: rendered from its states when it is read.

    The camera is the task's in feat2go, so that the pictures look like those of ``feat2go collect``; the milestones are
    the simulator's.

    Args:
        dataset: read with ``any_control``.
        image_size: side of the pictures in pixels.

    Raises:
        DatasetError: on access, if an episode has no ``env_states`` either, or several robots.
        RequirementError: on access, if ManiSkill or Vulkan is missing, with the command that mends it.
    """

    def __init__(self, dataset: ManiSkillDataset, image_size: int = 224) -> None:
        self._dataset = dataset
        self._image_size = image_size
        self._replayers: dict[str, Replayer] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def _read(self, number: int) -> Episode:
        episode = self._dataset.without_pictures(number)
        states = self._states(episode)
        mode = self._dataset.control_mode(number)
        if mode not in self._replayers:
            self._replayers[mode] = Replayer(episode.env_id, mode, self._image_size)
        frames, milestones = self._replayers[mode].play(episode.seed, episode.actions, states)
        return replace(episode, frames={"base": frames}, milestones=milestones)

    def _states(self, episode: Episode) -> States:
        path = self._dataset.path
        with open_hdf5(path) as file:
            group = find_group(file, episode.uid)
            if not contains(group, "env_states"):
                raise DatasetError(
                    f"{path}: /{episode.uid} has neither pictures nor env_states, so it can't be rendered; record it "
                    "anew, or replay it: python -m mani_skill.trajectory.replay_trajectory "
                    f"--traj-path {path} --obs-mode rgb --save-traj"
                )
            states = find_group(group, "env_states")
            return {
                kind: self._arrays(find_group(states, kind), len(episode.actions) + 1)
                for kind in KINDS
                if contains(states, kind)
            }

    @staticmethod
    def _arrays(group: h5py.Group, num_steps: int) -> dict[str, np.ndarray]:
        return {name: read_array(group, name, np.float32, (num_steps, None)) for name in group}
