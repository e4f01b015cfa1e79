"""What feat2go knows of single tasks: words, milestones, where to look from, how long an episode may take.

Any other ManiSkill task works too, with an instruction made of its id, success as its only milestone, its stock view
and its own time limit.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feat2go.envs.maniskill.config import Vector

# Of a ManiSkill environment with N rows and the dictionary of its flags: bool (N,).
Predicate = Callable[[Any, dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
        position, target: metres, in the world frame. In the table scenes, the robot's base stands at (-0.615, 0, 0).
        fov: vertical field of view in radians.
    """

    position: Vector
    target: Vector
    fov: float


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        instructions: templates; an episode's seed chooses one.
        milestones: name -> predicate, in the order in which they are passed on the way to success, without success.
        camera: None for the stock view.
        other_cameras: what is shown besides: our name -> ManiSkill's name of a camera on a robot.
        max_episode_steps: None for the task's own limit.
        module: imported before the task is built; it registers it.
        sentence: ``"package.module:function"`` for a task whose words depend on more than a template: of an episode's
            seed and the task's options.
    """

    instructions: tuple[str, ...]
    milestones: dict[str, Predicate]
    camera: Camera | None = None
    other_cameras: Mapping[str, str] = field(default_factory=dict)
    max_episode_steps: int | None = None
    module: str = "mani_skill.envs"
    sentence: str | None = None

    @property
    def milestone_names(self) -> tuple[str, ...]:
        return (*self.milestones, "success")

    def instruction(self, seed: int, options: Mapping[str, Any] | None = None) -> str:
        """The words of the episode with this seed, in a task with these options."""
        if self.sentence is not None:
            module, _, function = self.sentence.partition(":")
            words: str = getattr(importlib.import_module(module), function)(seed, **options or {})
            return words
        return self.instructions[int(np.random.default_rng(seed).integers(len(self.instructions)))]


def task_named(task_id: str) -> Task:
    """What is known of a task; for a task that is not in the list, what its id tells."""
    return TASKS.get(task_id) or Task(instructions=(_words_of(task_id),), milestones={})


def _words_of(task_id: str) -> str:
    """``"TwoRobotPickCube-v1"`` -> ``"two robot pick cube"``."""
    name = re.sub(r"-v\d+$", "", task_id)
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return " ".join(words).lower()


def _flag(name: str) -> Predicate:
    return lambda env, flags: flags[name]


def _reached(actor: str, within: float) -> Predicate:
    def predicate(env: Any, flags: dict[str, Tensor]) -> Tensor:
        distance: Tensor = torch.linalg.norm(env.agent.tcp.pose.p - getattr(env, actor).pose.p, dim=1)
        return distance < within

    return predicate


def _lifted(actor: str, above: float) -> Predicate:
    return lambda env, flags: getattr(env, actor).pose.p[:, 2] > above


def _grasped(actor: str) -> Predicate:
    def predicate(env: Any, flags: dict[str, Tensor]) -> Tensor:
        held: Tensor = env.agent.is_grasping(getattr(env, actor))
        return held

    return predicate


def _tilted(actor: str, at_least: float) -> Predicate:
    """Whether the x axis of a body rises by this share of its length, at either end."""

    def predicate(env: Any, flags: dict[str, Tensor]) -> Tensor:
        w, x, y, z = getattr(env, actor).pose.q.unbind(1)
        rise: Tensor = 2 * (x * z - w * y)
        return rise.abs() > at_least

    return predicate


def _touches_with_head(env: Any, flags: dict[str, Tensor]) -> Tensor:
    """The held peg's head is at the cube's side."""
    near: Tensor = flags["head_to_cube_dist"] < env.cube_half_size + 0.015
    return near & flags["is_peg_grasped"]


def _holds(side: str, actor: str) -> Predicate:
    """Whether one of two robots holds something."""

    def predicate(env: Any, flags: dict[str, Tensor]) -> Tensor:
        held: Tensor = getattr(env, f"{side}_agent").is_grasping(getattr(env, actor))
        return held

    return predicate


def _handed_over(env: Any, flags: dict[str, Tensor]) -> Tensor:
    """The cube lies where the right robot can take it."""
    position: Tensor = env.cube.pose.p
    return (position[:, 1] > -0.03) & (position[:, 2] < 0.03)


def _near_goal(within: float) -> Predicate:
    def predicate(env: Any, flags: dict[str, Tensor]) -> Tensor:
        distance: Tensor = torch.linalg.norm((env.obj.pose.p - env.goal_region.pose.p)[:, :2], dim=1)
        return distance < within

    return predicate


_HANDS = {"left_hand": "panda_wristcam-0-hand_camera", "right_hand": "panda_wristcam-1-hand_camera"}

TASKS = {
    "PickCube-v1": Task(
        instructions=(
            "pick up the red cube and move it to the goal",
            "grasp the red cube and hold it at the goal position",
            "lift the red block to the goal",
        ),
        milestones={
            "reached": _reached("cube", 0.04),
            "grasped": _flag("is_grasped"),
            "lifted": _lifted("cube", 0.04),
            "at goal": _flag("is_obj_placed"),
        },
        camera=Camera((0.45, 0.25, 0.4), (-0.02, 0.0, 0.13), 0.8),
    ),
    "StackCube-v1": Task(
        instructions=(
            "stack the red cube on the green cube",
            "put the red block on top of the green block",
            "place the red cube on the green one",
        ),
        milestones={
            "reached": _reached("cubeA", 0.04),
            "grasped": _flag("is_cubeA_grasped"),
            "lifted": _lifted("cubeA", 0.05),
            "on top": _flag("is_cubeA_on_cubeB"),
        },
        camera=Camera((0.5, 0.3, 0.5), (-0.02, 0.0, 0.02), 0.85),
        max_episode_steps=100,
    ),
    "PushCube-v1": Task(
        instructions=(
            "push the blue cube to the target",
            "push the blue block onto the red and white target",
            "move the blue cube forward to the target",
        ),
        milestones={"reached": _reached("obj", 0.07), "half way": _near_goal(0.15)},
        camera=Camera((0.62, 0.0, 0.47), (0.12, 0.0, 0.02), 0.7),
    ),
    "PullCube-v1": Task(
        instructions=(
            "pull the blue cube to the target",
            "pull the blue block onto the red and white target",
            "drag the blue cube back to the target",
        ),
        milestones={"reached": _reached("obj", 0.07), "half way": _near_goal(0.15)},
        camera=Camera((-0.1, 0.6, 0.4), (-0.08, 0.0, 0.04), 0.72),
    ),
    "PlaceSphere-v1": Task(
        instructions=(
            "place the blue ball in the bin",
            "pick up the blue sphere and put it in the bin",
            "put the blue ball into the small bin",
        ),
        milestones={
            "reached": _reached("obj", 0.03),
            "grasped": _flag("is_obj_grasped"),
            "lifted": _lifted("obj", 0.05),
            "in the bin": _flag("is_obj_on_bin"),
        },
        camera=Camera((0.4, 0.0, 0.37), (0.0, 0.0, 0.03), 0.64),
        max_episode_steps=80,
    ),
    "LiftPegUpright-v1": Task(
        instructions=(
            "stand the peg upright",
            "lift the red and blue peg and put it on its end",
            "pick up the lying peg and stand it up on the table",
        ),
        milestones={
            "reached": _reached("peg", 0.07),
            "grasped": _grasped("peg"),
            "half turned": _tilted("peg", 0.5),
            "turned": _tilted("peg", 0.99),
        },
        camera=Camera((0.35, 0.65, 0.45), (0.1, 0.0, 0.1), 0.85),
        max_episode_steps=150,
    ),
    "PokeCube-v1": Task(
        instructions=(
            "poke the red cube to the target with the peg",
            "take the blue peg and push the red cube onto the target",
            "push the red block with the peg to the red and white target",
        ),
        milestones={
            "reached": _reached("peg", 0.07),
            "grasped": _flag("is_peg_grasped"),
            "at the cube": _touches_with_head,
            "at goal": _flag("is_cube_placed"),
        },
        camera=Camera((0.45, 0.6, 0.5), (0.12, 0.0, 0.02), 0.75),
        max_episode_steps=80,
    ),
    "TwoRobotPickCube-v1": Task(
        instructions=(
            "hand the red cube over and bring it to the goal",
            "left arm: give the red cube to the right arm, which holds it at the goal",
            "pass the red block to the other robot and lift it to the goal",
        ),
        milestones={
            "left grasped": _holds("left", "cube"),
            "handed over": _handed_over,
            "right grasped": _holds("right", "cube"),
            "at goal": _flag("is_obj_placed"),
        },
        camera=Camera((0.75, 0.0, 0.6), (0.0, 0.0, 0.1), 0.95),
        other_cameras=_HANDS,
    ),
    "TwoRobotStackCube-v1": Task(
        instructions=(
            "put the green cube on the target and stack the blue cube on it",
            "right arm: green block to the target; left arm: blue block on top",
            "build a tower on the target, green below and blue above",
        ),
        milestones={
            "grasped": _flag("is_cubeB_grasped"),
            "base placed": _flag("cubeB_placed"),
            "on top": _flag("is_cubeA_on_cubeB"),
        },
        camera=Camera((0.75, 0.0, 0.6), (0.0, 0.0, 0.05), 0.85),
        other_cameras=_HANDS,
    ),
    "PutOn-v1": Task(
        instructions=(),
        milestones={
            "reached": _flag("is_near"),
            "grasped": _flag("is_grasped"),
            "lifted": _flag("is_lifted"),
            "above": _flag("is_above"),
        },
        module="feat2go.envs.put_on.simulation",
        sentence="feat2go.envs.put_on.words:sentence",
    ),
}
