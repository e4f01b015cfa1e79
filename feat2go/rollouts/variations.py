"""Recorded episodes seen otherwise: their pictures perturbed, or ManiSkill's same states rendered anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from feat2go.core.types import Episode
from feat2go.data.hdf5 import DatasetError
from feat2go.envs.maniskill.replay import Replayer
from feat2go.envs.maniskill.tasks import TASKS
from feat2go.envs.maniskill.variations import KINDS, Kind, Variation
from feat2go.progress.audit.perturbations import PERTURBATIONS, SEVERITIES

# Frames uint8 (T, H, W, 3) of the first camera, of each episode in turn.
Perturb = Callable[[Sequence[Episode]], Iterator[np.ndarray]]

# Another renderer rounds otherwise; another camera changes pictures by more grey levels than this on average.
MAX_DIFFERENCE = 3.0
MAX_STATE_ERROR = 1e-4


def perturbations(with_rendered: bool) -> dict[str, Perturb]:
    """Every kind at every severity, e.g. ``"light 2"`` and, if those are asked for, ``"rendered light 2"``."""
    ways: dict[str, Perturb] = {
        f"{kind} {severity}": partial(_perturbed, kind, severity) for kind in PERTURBATIONS for severity in SEVERITIES
    }
    if with_rendered:
        for kind in KINDS:
            ways |= {
                f"rendered {kind} {level}": partial(rendered_anew, kind=kind, severity=level) for level in SEVERITIES
            }
    return ways


def rendered_anew(episodes: Sequence[Episode], kind: Kind, severity: int) -> Iterator[np.ndarray]:
    """Frames of the first camera, uint8 (T, H, W, 3), of each episode in turn, seen otherwise.

    Args:
        episodes: recorded by ``feat2go collect`` in ManiSkill's own tasks, with the camera and control of the default.
        kind: ``light``, ``distractors`` or ``view``, see :class:`feat2go.envs.maniskill.variations.Variation`.
        severity: 1, 2 or 3.

    Raises:
        DatasetError: if an episode is of another task, or does not repeat itself; the message names it.
        RequirementError: if ManiSkill, Vulkan or an asset is missing, with the command that mends it.
    """
    for task in dict.fromkeys(episode.env_id for episode in episodes):
        if task not in TASKS or TASKS[task].camera is None:
            known = ", ".join(name for name, own in TASKS.items() if own.camera is not None)
            raise DatasetError(f"episodes of '{task}' can't be rendered anew; those of these tasks can: {known}")
    replayers: dict[tuple[str, int], Replayer] = {}
    try:
        for number, episode in enumerate(episodes):
            size = np.asarray(episode.view()[:1]).shape[1]
            if (episode.env_id, size) not in replayers:
                replayers[episode.env_id, size] = Replayer(episode.env_id, "ee", size)
            yield _seen(replayers[episode.env_id, size], episode, Variation(kind, severity, number))
    finally:
        for replayer in replayers.values():
            replayer.close()


def _perturbed(kind: str, severity: int, episodes: Sequence[Episode]) -> Iterator[np.ndarray]:
    return (PERTURBATIONS[kind](np.asarray(own.view()[:]), severity, seed) for seed, own in enumerate(episodes))


def _seen(replayer: Replayer, episode: Episode, variation: Variation) -> np.ndarray:
    recorded = np.asarray(episode.view()[:1])[0].astype(np.int16)
    if np.abs(replayer.first_frame(episode.seed) - recorded).mean() > MAX_DIFFERENCE:
        raise DatasetError(
            f"episode '{episode.uid}' looks otherwise when it is rendered again: it was recorded with another camera "
            "or other render assets, so it can't be compared"
        )
    frames, states = replayer.see_otherwise(episode.seed, np.asarray(episode.actions), variation)
    if episode.state is None or not np.allclose(states, episode.state, atol=MAX_STATE_ERROR):
        raise DatasetError(
            f"episode '{episode.uid}' went another way when it was carried out again: it was recorded with another "
            "control or version of ManiSkill, so it can't be rendered anew"
        )
    return frames
