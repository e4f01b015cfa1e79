"""What is audited: ways to turn the features of a task's episodes into stages and a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from feat2go.core.protocols import Clustering
from feat2go.core.types import ProgressTrack, Stages
from feat2go.progress.audit.sample import Sample
from feat2go.progress.segmentation import segment_episodes
from feat2go.progress.structural import Scope, structural_progress


@dataclass(frozen=True)
class Labelled:
    """Stages and target of one episode."""

    stages: Stages
    track: ProgressTrack

    @property
    def target(self) -> np.ndarray:
        """float32 (T,)."""
        return self.track.target.numpy()

    @property
    def inner_boundaries(self) -> list[int]:
        """Where a new stage starts, without 0 and T."""
        cuts: list[int] = self.stages.boundaries.tolist()
        return cuts[1:-1]


class Method(Protocol):
    """Labels all episodes of one task."""

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """Stages and target of each. It may not look at the milestones."""


class Structural:
    """Stages by a clustering, and the structural target on them: what ``feat2go label`` writes."""

    def __init__(self, clustering: Clustering, beta: float = 0.0, scope: Scope = "stage") -> None:
        self.clustering = clustering
        self.beta = beta
        self.scope = scope

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """See :class:`Method`."""
        features = [sample.features for sample in samples]
        stages = segment_episodes(self.clustering, features)
        return [
            Labelled(own, structural_progress(track, own, self.beta, self.scope))
            for track, own in zip(features, stages, strict=True)
        ]


class StepsToGo:
    """Elapsed time, t / (T-1): the target of steps-to-go value models. It has one stage.

    Source: Self-Improving Embodied Foundation Models (arXiv 2509.15155).
    """

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """See :class:`Method`."""
        return [_one_stage(torch.linspace(0, 1, len(own)) if len(own) > 1 else torch.ones(1)) for own in samples]


class Constant:
    """The same value everywhere: what any target has to beat."""

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """See :class:`Method`."""
        return [_one_stage(torch.full((len(own),), 0.5)) for own in samples]


class Shuffled:
    """Another method's target with the frames of each episode in random order."""

    def __init__(self, method: Method, seed: int = 0) -> None:
        self.method = method
        self.seed = seed

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """See :class:`Method`."""
        generator = torch.Generator().manual_seed(self.seed)
        labelled = self.method.label(samples)
        return [_reordered(own, torch.randperm(len(own.target), generator=generator)) for own in labelled]


class Reversed:
    """Another method's target, backward in time."""

    def __init__(self, method: Method) -> None:
        self.method = method

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """See :class:`Method`."""
        return [_reordered(own, torch.arange(len(own.target)).flip(0)) for own in self.method.label(samples)]


class Given:
    """Values that are there already, such as a value model's predictions. They have one stage.

    Args:
        values: uid -> (T,) in [0, 1].
    """

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        self.values = values

    def label(self, samples: Sequence[Sample]) -> list[Labelled]:
        """See :class:`Method`."""
        return [_one_stage(torch.as_tensor(self.values[sample.uid])) for sample in samples]


def label_by_task(method: Method, samples: Sequence[Sample]) -> list[Labelled]:
    """Samples of any tasks, in their order; the method sees the episodes of one task at a time."""
    found: dict[str, Labelled] = {}
    for task in dict.fromkeys(sample.task for sample in samples):
        members = [sample for sample in samples if sample.task == task]
        labelled = method.label(members)
        found |= {sample.uid: own for sample, own in zip(members, labelled, strict=True)}
    return [found[sample.uid] for sample in samples]


def _one_stage(target: Tensor) -> Labelled:
    stages = Stages.from_boundaries([0, len(target)])
    return Labelled(stages, ProgressTrack(target.float(), stages.stage, target.float()))


def _reordered(labelled: Labelled, order: Tensor) -> Labelled:
    return _one_stage(labelled.track.target[order])
