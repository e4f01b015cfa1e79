"""The data that flows between packages.

Legend: T steps, N parallel envs, E episodes, B batch, H W pixels, P patches, D width, K stages, C chunk length,
A action dimensions, S state dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Observation:
    """What a policy sees of B environments.

    Attributes:
        images: camera name -> uint8 (B, H, W, 3).
        state: float32 (B, S) proprioception, or None.
        instruction: B sentences.
    """

    images: dict[str, Tensor]
    state: Tensor | None
    instruction: list[str]

    def __len__(self) -> int:
        return len(self.instruction)

    def select(self, index: Tensor) -> Observation:
        """The rows of a 1-d integer or boolean ``index``; integers from 0."""
        rows = _row_numbers(index)
        return Observation(
            {camera: _rows_of(image, rows) for camera, image in self.images.items()},
            None if self.state is None else _rows_of(self.state, rows),
            [self.instruction[i] for i in rows.tolist()],
        )

    def to(self, device: torch.device | str) -> Observation:
        """The same observation on another device."""
        return Observation(
            {camera: image.to(device) for camera, image in self.images.items()},
            None if self.state is None else self.state.to(device),
            self.instruction,
        )

    @staticmethod
    def concat(parts: Sequence[Observation]) -> Observation:
        """Join along the batch. All parts have the same cameras."""
        states = [part.state for part in parts if part.state is not None]
        return Observation(
            {camera: torch.cat([part.images[camera] for part in parts]) for camera in parts[0].images},
            torch.cat(states) if states else None,
            [sentence for part in parts for sentence in part.instruction],
        )


@dataclass(frozen=True)
class Step:
    """What one call of ``VectorEnv.step`` with a chunk of C actions gave.

    Attributes:
        observation: N rows. Of an environment that was reset inside the step: the new episode's first.
        terminated, truncated, success, valid: bool (N, C), per action of the chunk. ``valid`` says that the action was
            carried out: actions after an episode's end are not. ``terminated`` and ``truncated`` are never both set.
        milestone: int64 (N, C), how many of the simulator's own milestones have been reached; for validation only.
        final_index: int64 (E,), the environments whose episode ended in this step.
        final_observation: the E true last observations of those episodes.
        reward: float32 (N, C), the simulator's own dense reward of each action, 0 where it was not carried out. None
            from an environment that has none or was not asked for it.
    """

    observation: Observation
    terminated: Tensor
    truncated: Tensor
    success: Tensor
    valid: Tensor
    milestone: Tensor
    final_index: Tensor
    final_observation: Observation
    reward: Tensor | None = None


class Frames(Protocol):
    """Frames uint8 (T, H, W, 3) that are read when they are sliced. An ``np.ndarray`` satisfies it as well."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class Episode:
    """One recorded episode with T frames.

    Attributes:
        frames: camera -> uint8 (T, H, W, 3); any array-like that is read when sliced.
        instruction: the task in words.
        actions: float32 (T-1, A) in [-1, 1].
        state: float32 (T, S), or None.
        success: whether the episode ended in success.
        milestones: int64 (T,), the simulator's own stage of each frame, or None. For validation only.
        uid, env_id, seed, fps: where it comes from. ``uid`` is unique in its dataset.
    """

    frames: Mapping[str, Frames]
    instruction: str
    actions: np.ndarray
    state: np.ndarray | None
    success: bool
    milestones: np.ndarray | None
    uid: str
    env_id: str
    seed: int
    fps: float

    def __len__(self) -> int:
        return len(next(iter(self.frames.values())))

    def view(self, camera: str | None = None) -> Frames:
        """The frames of a camera; of the first one if none is named.

        Raises:
            ValueError: for a camera that the episode doesn't have.
        """
        if camera is None:
            return next(iter(self.frames.values()))
        if camera not in self.frames:
            raise ValueError(f"episode '{self.uid}' has no camera '{camera}'; it has: {', '.join(self.frames)}")
        return self.frames[camera]


@dataclass(frozen=True)
class FeatureTrack:
    """Patch features of one episode.

    Attributes:
        features: float16 (T, P, D).
        frame_index: int64 (T,), the last frame that each row has seen: no look-ahead.
        fingerprint: which encoder, weights, layer and preprocessing made them.
    """

    features: Tensor
    frame_index: Tensor
    fingerprint: str


@dataclass(frozen=True)
class Stages:
    """An episode of T frames cut into K stages; stage n covers [boundaries[n], boundaries[n+1]).

    Attributes:
        boundaries: int64 (K+1,), from 0 to T, strictly increasing.
        curve: float32 (T,), the similarity that the cut was made on, for the plot; empty where there is none.
        slope: float32 (T,), its local slope; empty where there is none.
        progress: float64 (T,), never falling from 0 to 1, where the clustering itself measures how far the task is;
            empty where the progress target is made of similarities.
    """

    boundaries: Tensor
    curve: Tensor = field(default_factory=lambda: torch.empty(0))
    slope: Tensor = field(default_factory=lambda: torch.empty(0))
    progress: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def from_boundaries(
        cls,
        boundaries: Sequence[int],
        curve: Tensor | None = None,
        slope: Tensor | None = None,
        progress: Tensor | None = None,
    ) -> Stages:
        """Stages from ``[0, b1, ..., T]``.

        Raises:
            ValueError: unless the list starts at 0 and increases strictly.
        """
        cuts = [int(cut) for cut in boundaries]
        if len(cuts) < 2 or cuts[0] != 0 or any(a >= b for a, b in itertools.pairwise(cuts)):
            raise ValueError(f"stage boundaries must be [0, b1, ..., T], strictly increasing; got {cuts}")
        empty = torch.empty(0)
        return cls(
            torch.tensor(cuts, dtype=torch.int64),
            empty if curve is None else curve,
            empty if slope is None else slope,
            empty if progress is None else progress,
        )

    @property
    def num_frames(self) -> int:
        return int(self.boundaries[-1])

    @property
    def num_stages(self) -> int:
        return len(self.boundaries) - 1

    @property
    def stage(self) -> Tensor:
        """int64 (T,): the stage of each frame."""
        return torch.repeat_interleave(torch.arange(self.num_stages), self.boundaries.diff())

    @property
    def last_frames(self) -> Tensor:
        """int64 (K,): K_n, the last frame of each stage, its subgoal."""
        return self.boundaries[1:] - 1


@dataclass(frozen=True)
class ProgressTrack:
    """The progress target of one episode.

    Attributes:
        target: float32 (T,) in [0, 1].
        stage: int64 (T,).
        similarity: float32 (T,), to the last frame of the own stage, before normalisation.
    """

    target: Tensor
    stage: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class PolicyOutput:
    """Sampled actions.

    Attributes:
        actions: float32 (B, C, A) in [-1, 1].
        tokens: int64 (B, C*A).
        logprob: float32 (B, C*A).
        value: float32 (B,), the critic's; (B, C) of one that judges each action of the chunk.
    """

    actions: Tensor
    tokens: Tensor
    logprob: Tensor
    value: Tensor


@dataclass(frozen=True)
class PolicyEvaluation:
    """What a policy says of given tokens, with gradients.

    Attributes:
        logprob: float32 (B, C*A).
        entropy: float32 (B, C*A).
        value: float32 (B,) or (B, C), the critic's.
    """

    logprob: Tensor
    entropy: Tensor
    value: Tensor


@dataclass(frozen=True)
class Rollout:
    """Experience of N environments over T decisions of C actions each, time-major.

    Attributes:
        observation: T*N rows; row t*N + n is what environment n showed at decision t.
        tokens, logprob: (T, N, C*A), int64 and float32.
        value: float32 (T, N), or (T, N, C) of a critic that judges each action of the chunk.
        reward: float32 (T, N), zero until a reward shaper fills it; earned with the decision's last valid action.
        terminated, truncated, success: bool (T, N): in this decision the episode ended so. Never both ends.
        valid: bool (T, N, C): the action was carried out.
        bootstrap: float32 (T, N), the critic's value of the true final observation where truncated, else 0.
        last_value: float32 (N,), the critic's value of what follows the last decision.
        final_index: int64 (E, 2), the (t, n) of the E episodes that ended.
        final_observation: E rows, their true last observations.
        last_observation: N rows, what follows the last decision.
        group: int64 (T, N), the same for all decisions of the episodes that began in the same state; None where every
            episode begins in a state of its own.
        solved: bool (T, N, C), the task's success condition held after the action, whether or not that ended anything.
        env_reward: float32 (T, N), the simulator's own dense reward, summed over the decision's valid actions; None
            where the environment gives none.
    """

    observation: Observation
    tokens: Tensor
    logprob: Tensor
    value: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    success: Tensor
    valid: Tensor
    bootstrap: Tensor
    last_value: Tensor
    final_index: Tensor
    final_observation: Observation
    last_observation: Observation | None = None
    group: Tensor | None = None
    solved: Tensor | None = None
    env_reward: Tensor | None = None

    @property
    def final_success(self) -> Tensor:
        """Bool (E,): which of the ended episodes succeeded."""
        return self.success[self.final_index[:, 0], self.final_index[:, 1]]

    @property
    def episode(self) -> Tensor:
        """int64 (T, N): the row of ``final_index`` that a decision led to.

        -1 where the episode goes on behind the rollout, was lost with its simulation, or where nothing was carried out.
        """
        ended = torch.full_like(self.terminated, -1, dtype=torch.int64)
        ended[self.final_index[:, 0], self.final_index[:, 1]] = torch.arange(len(self.final_index))
        episode, following = torch.empty_like(ended), torch.full_like(ended[0], -1)
        acted = self.valid.any(-1)
        for t in range(len(ended) - 1, -1, -1):
            following = torch.where(acted[t] & (ended[t] < 0), following, ended[t])
            episode[t] = following
        return episode


@dataclass(frozen=True)
class PolicyBatch:
    """Flat training rows, one per decision.

    Attributes:
        observation: B rows.
        tokens: int64 (B, C*A).
        mask: bool (B, C*A): tokens that count.
        logprob: float32 (B, C*A), at the time of the rollout. Zero for demonstrations, as are the following.
        value, advantage, target_return: float32 (B,), or (B, C) with a critic that judges each action of the chunk.
    """

    observation: Observation
    tokens: Tensor
    mask: Tensor
    logprob: Tensor
    value: Tensor
    advantage: Tensor
    target_return: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def select(self, index: Tensor) -> PolicyBatch:
        """The rows of a 1-d integer or boolean ``index``; integers from 0."""
        rows = _row_numbers(index)
        return self._map(lambda tensor: _rows_of(tensor, rows), lambda observation: observation.select(rows))

    def to(self, device: torch.device | str) -> PolicyBatch:
        """The same batch on another device; itself if it is there."""
        if self.tokens.device == torch.device(device):
            return self
        return self._map(lambda tensor: tensor.to(device), lambda observation: observation.to(device))

    def _map(
        self, on_tensor: Callable[[Tensor], Tensor], on_observation: Callable[[Observation], Observation]
    ) -> PolicyBatch:
        tensors = {f.name: on_tensor(getattr(self, f.name)) for f in fields(self) if f.name != "observation"}
        return PolicyBatch(observation=on_observation(self.observation), **tensors)


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluated episode.

    Attributes:
        task, suite, setting: what was evaluated.
        seed: the episode's.
        success_once: success at any step; ``success_at_end``: at the last one.
        length: actions carried out.
        milestone: the furthest milestone reached.
        terminal_value: the value model's prediction for the last frame, or NaN without one.
        video: path relative to the table, or an empty string.
        instruction: the episode's task in words.
    """

    task: str
    suite: str
    setting: str
    seed: int
    success_once: bool
    success_at_end: bool
    length: int
    milestone: int
    terminal_value: float
    video: str
    instruction: str


def _row_numbers(index: Tensor) -> Tensor:
    return index.nonzero()[:, 0] if index.dtype == torch.bool else index


def _rows_of(tensor: Tensor, rows: Tensor) -> Tensor:
    # Copies whole rows; pictures take a twentieth of the time that they take with ``tensor[rows]``.
    return tensor.index_select(0, rows.to(tensor.device))
