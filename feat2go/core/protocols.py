"""What a plug-in of each slot has to offer. Nothing needs to inherit from these. Legend: ``core.types``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from feat2go.core.types import (
    FeatureTrack,
    Observation,
    PolicyBatch,
    PolicyEvaluation,
    PolicyOutput,
    Rollout,
    Stages,
    Step,
)


@runtime_checkable
class Encoder(Protocol):
    """A visual world model: frames to patch features. Built-in ones are frozen ``torch.nn.Module`` s."""

    @property
    def fingerprint(self) -> str:
        """Hash of class, weights, layer and preprocessing: two encoders with the same one give the same features."""

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(P, D)."""

    def encode_images(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3), each on its own -> float32 (B, P, D)."""

    def encode_episode(self, frames: Tensor) -> FeatureTrack:
        """uint8 (T, H, W, 3), consecutive -> one row per frame."""


@runtime_checkable
class Clustering(Protocol):
    """Cuts an episode into stages."""

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> stages of T frames."""


@runtime_checkable
class TaskClustering(Clustering, Protocol):
    """A clustering that can look at all episodes of a task, so that their stages mean the same."""

    def segment_all(self, features: Sequence[Tensor]) -> list[Stages]:
        """Features (T_e, P, D) of each episode, perhaps read when they are indexed -> stages of each."""


@runtime_checkable
class RewardShaper(Protocol):
    """Turns what happened in an episode into rewards: a terminal one, and for a :class:`DenseRewardShaper` more."""

    @property
    def needs_value(self) -> bool:
        """Whether the value model must predict anything at all."""

    @property
    def replaces_bootstrap(self) -> bool:
        """Whether the reward already stands for what would have followed a time limit, so that adding the critic's
        bootstrap value would count it twice.
        """

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """The terminal reward: bool (E,), float32 (E,) -> float32 (E,)."""


@runtime_checkable
class DenseRewardShaper(RewardShaper, Protocol):
    """A reward shaper that also sees the way to the end. Every decision gets ``dense``, the last one both."""

    def dense(self, rollout: Rollout, value: Tensor, next_value: Tensor) -> Tensor:
        """What is paid on top of the terminal rewards.

        Args:
            rollout: with rewards of zero.
            value: float32 (T, N), the value model's prediction for what each decision saw; NaN unless ``needs_value``.
            next_value: float32 (T, N), for what each decision led to: the next decision's value, or that of the true
                final observation. Equal to ``value`` where nothing was carried out.

        Returns:
            float32 (T, N).
        """


@runtime_checkable
class ValuePredictor(Protocol):
    """A frozen value model."""

    def predict(self, images: Tensor, instruction: Sequence[str]) -> Tensor:
        """uint8 (B, H, W, 3) and B sentences -> float32 (B,) in [0, 1]."""


@runtime_checkable
class Policy(Protocol):
    """Observation to action tokens. A ``torch.nn.Module`` with a critic head on its trunk.

    Attributes:
        chunk: C. action_dim: A.
        critic: the module of the critic's head; needed only to train it alone.
        config: the constructor's arguments, and the registered name as ``model_type``; plain values only.
    """

    chunk: int
    action_dim: int
    config: dict[str, Any]

    def preprocess(
        self, images: dict[str, Tensor], instructions: Sequence[str], state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Camera -> uint8 (B, H, W, 3), B sentences, float32 (B, S) -> the tensors that the next two take."""

    def act(
        self, *, temperature: float = 1.0, generator: torch.Generator | None = None, **inputs: Tensor
    ) -> PolicyOutput:
        """Sample; greedy at temperature 0."""

    def evaluate(self, tokens: Tensor, *, temperature: float = 1.0, **inputs: Tensor) -> PolicyEvaluation:
        """Log-probs, entropy and critic value of tokens (B, C*A), with gradients."""

    def encode(self, actions: Tensor) -> Tensor:
        """Actions (B, C, A) in [-1, 1] -> tokens (B, C*A)."""

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, C*A) -> actions (B, C, A)."""

    def shard_units(self) -> list[torch.nn.Module]:
        """Sub-modules that FSDP2 shards on their own."""

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json, whose ``model_type`` is the registered name, and model.safetensors."""


@runtime_checkable
class Algorithm(Protocol):
    """A loss on batches. Free of Lightning.

    One whose ``needs_reference`` is true is given the policy that training started from as ``reference=``. One with
    ``begin_iteration(iteration)`` is told when the updates on a rollout begin, counted from 0. While a
    ``trains_critic_only`` is true, nothing but the policy's ``critic`` changes. One with a ``max_kl`` that is not None
    has the updates on a rollout stopped once the metric ``kl``, averaged over all processes, exceeds it.
    """

    def loss(self, policy: Any, batch: PolicyBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Scalar loss, and scalars to log."""


@runtime_checkable
class OnPolicyAlgorithm(Algorithm, Protocol):
    """An algorithm that learns from its own rollouts, sampled at ``temperature``."""

    temperature: float

    def prepare(self, rollout: Rollout) -> PolicyBatch:
        """Advantages and returns; one row per decision in which at least one action was carried out."""


@runtime_checkable
class VectorEnv(Protocol):
    """N environments behind one call. Everything about an episode is a function of its seed and the actions.

    Attributes:
        env_id: what ``Episode.env_id`` records, e.g. ``"PushCube-v1"``.
        num_envs: N. action_dim: A. state_dim: S, 0 for none.
        cameras: names in ``Observation.images``; the first is the one that value models look through.
        image_size: side in pixels.
        max_episode_steps: an episode that has not ended by then is truncated.
        fps: control frequency in Hz.
        milestones: names of the simulator's own stages, in order; for validation only.
        terminate_on_success: settable between episodes; if False, episodes run to the limit.
    """

    env_id: str
    num_envs: int
    action_dim: int
    state_dim: int
    cameras: tuple[str, ...]
    image_size: int
    max_episode_steps: int
    fps: float
    milestones: tuple[str, ...]
    terminate_on_success: bool

    def reset(self, seeds: Sequence[int]) -> Observation:
        """Start a new episode everywhere, N seeds."""

    def step(self, actions: Tensor, next_seeds: Sequence[int] | None = None) -> Step:
        """Carry out actions (N, C, A) in [-1, 1], numpy or torch.

        With ``next_seeds`` (N), an environment whose episode ends starts a new one from its seed, at the end of the
        chunk. Without, it idles: its further actions are not carried out and its observation stays.
        """

    def restore(self, seeds: Sequence[int], actions: Sequence[Tensor]) -> Observation:
        """Bring back N episodes that were under way: start each from its seed, carry out its float32 (L_n, A) actions.

        A resumed run goes on from here, so the environments are to the bit where they were.
        """

    def expert_actions(self) -> Tensor:
        """(N, A): what the scripted expert would do now, with its noise.

        Raises:
            NotImplementedError: where the task has no expert; the message names those that have.
        """

    def close(self) -> None:
        """Free processes and memory. May be called twice."""
