"""What a worker process needs to know to build its simulations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class SimulationConfig:
    """Everything about the simulations of one ``ManiSkill`` environment; sent to its worker processes.

    Attributes:
        task: a ManiSkill task id.
        image_size: side of the square pictures in pixels.
        control: ``"ee"``, ``"joint"``, or ManiSkill's own name of a control mode, to take actions as they are.
        view: where the camera stands and what it looks at, in metres in the world frame; None for the stock view.
        fov: vertical field of view in radians; None for the stock one.
        light_assets: low-poly robot, small ground, no reflection table.
        max_episode_steps: None for the task's own limit.
        expert_noise, expert_tempo, expert_detours, expert_turns: see ``env.ManiSkill``.
        dense_reward: compute the task's own reward with every action.
        task_options: further arguments of the task's constructor.
    """

    task: str
    image_size: int
    control: str
    view: tuple[Vector, Vector] | None
    fov: float | None
    light_assets: bool
    max_episode_steps: int | None
    expert_noise: float
    expert_tempo: float
    expert_detours: int
    expert_turns: bool = True
    dense_reward: bool = False
    task_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SimulationInfo:
    """What is only known once a simulation has been built.

    Attributes:
        action_dim, state_dim: A and S.
        fps: control frequency in Hz.
        max_episode_steps: the limit that holds.
        cameras: names of the K pictures of one observation.
    """

    action_dim: int
    state_dim: int
    fps: float
    max_episode_steps: int
    cameras: tuple[str, ...] = ("base",)


@dataclass(frozen=True)
class Assignment:
    """Which of the N environments one worker process runs."""

    config: SimulationConfig
    num_envs: int
    first_row: int
    num_rows: int
