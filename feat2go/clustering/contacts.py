"""Stages from contact to contact, shared by all episodes of a task, with a progress that any tempo leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from feat2go.clustering.alignment import Weights
from feat2go.clustering.marks import Mark, marks_of, merge
from feat2go.clustering.motion import Motion, boundary_strength, motion_of, patch_motion
from feat2go.clustering.movers import find_movers
from feat2go.clustering.pace import paced_progress, typical_shares
from feat2go.clustering.together import (
    Choice,
    boundaries_in_frames,
    choose_boundaries,
    frames_looked_at,
    stride_of,
    with_a_say,
)
from feat2go.core.similarity import require_features
from feat2go.core.types import Stages


class Contacts:
    """What :class:`~feat2go.clustering.Strokes` finds, without hesitations, for each arm, and with its own progress.

    - Where a task has contacts, a rest that neither is one, nor comes before one, nor ends the motion is a hesitation,
      and no boundary (:mod:`~feat2go.clustering.marks`).
    - Two arms rest at different times. Where the picture shows two things that move on their own
      (:mod:`~feat2go.clustering.movers`), each is cut by its own rests, and the most telling boundaries of both that
      come in the same order in all episodes are a task's.
    - Stages are long then, and the similarity to a stage's last frame may fall within one. So progress inside a stage
      is the share of its motion that is done, and a stage's share of progress is the time that the typical episode
      spends in it: the progress target is ``Stages.progress`` (:mod:`~feat2go.clustering.pace`). It never falls, and
      neither tempo nor rests change what a frame has; nor does it show a failed attempt within a demonstration.

    Args:
        strong: a strong boundary's least strength, as for ``Strokes``.
        min_stages: of one mover, before hesitations are left out, where episodes are long enough.
        max_stages: at most.
        min_stage: frames per stage, at least 1.

    Raises:
        ValueError: for a number outside of its range.
    """

    def __init__(self, strong: float = 0.9, min_stages: int = 3, max_stages: int = 8, min_stage: int = 2) -> None:
        self.strong = strong
        self.min_stages = min_stages
        self.max_stages = max_stages
        self.min_stage = min_stage
        self._choice = Choice(strong, min_stages, max_stages, min_stage, Weights(position=8.0, change=2.0))

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) of an episode alone -> stages of T frames.

        Raises:
            ValueError: for empty or non-finite features.
        """
        return self.segment_all([features])[0]

    def segment_all(self, features: Sequence[Tensor]) -> list[Stages]:
        """Features (T_e, P, D) of a task's episodes, each read twice -> stages of each, as many in all.

        Episodes shorter than a quarter of the median length have a single stage, and no say.

        Raises:
            ValueError: for empty or non-finite features.
        """
        num_frames: list[int] = []
        patches: list[np.ndarray] = []
        for track in features:
            num_frames.append(len(track))
            patches.append(_patch_motion(track))
        lengths = [len(own) + 1 for own in patches]
        kept = with_a_say(lengths)
        cuts: dict[int, list[int]] = {}
        shares = np.ones(1)
        if kept:
            kept_lengths = [lengths[number] for number in kept]
            movers = find_movers([patches[number] for number in kept])
            marks = self._marks(features, kept, movers)
            found = merge(marks, kept_lengths, self.min_stage, self.max_stages)
            cuts, shares = dict(zip(kept, found, strict=True)), typical_shares(found, kept_lengths)
        return [
            _stages(length, own, cuts.get(number, []), shares if number in cuts else np.ones(1))
            for number, (length, own) in enumerate(zip(num_frames, patches, strict=True))
        ]

    def _marks(self, features: Sequence[Tensor], kept: Sequence[int], movers: Sequence[np.ndarray]) -> list[Mark]:
        """The boundaries of all movers."""
        motions_of: list[list[Motion]] = [[] for _ in movers]
        for number in kept:
            seen = frames_looked_at(features[number])
            for motions, mover in zip(motions_of, movers, strict=True):
                motions.append(motion_of(seen if mover.all() else seen[:, torch.from_numpy(mover)]))
        marks = []
        for motions in motions_of:
            cuts = choose_boundaries(motions, [boundary_strength(motion) for motion in motions], self._choice)
            marks += marks_of(motions, cuts, self.min_stage)
        return marks


def _patch_motion(track: Tensor) -> np.ndarray:
    """(T-1, P) of the frames that are looked at."""
    require_features(track)
    seen = frames_looked_at(track)
    return patch_motion(seen) if len(seen) > 1 else np.zeros((0, track.shape[1]))


def _stages(num_frames: int, patches: np.ndarray, cuts: Sequence[int], shares: np.ndarray) -> Stages:
    """Stages of one episode, with its progress; cuts count the frames that are looked at."""
    boundaries = boundaries_in_frames(cuts, num_frames)
    if not len(patches):
        return Stages.from_boundaries(boundaries, progress=torch.ones(num_frames, dtype=torch.float64))
    seen = paced_progress(patches.mean(axis=1, dtype=np.float64), cuts, shares)
    progress = np.interp(np.arange(num_frames), np.arange(len(seen)) * stride_of(num_frames), seen)
    return Stages.from_boundaries(boundaries, progress=torch.from_numpy(progress))
