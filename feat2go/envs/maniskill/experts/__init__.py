"""Scripted closed-loop experts, without a motion planner."""

from __future__ import annotations

from typing import Any

from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.experts.arm import Arm
from feat2go.envs.maniskill.experts.expert import Expert, Plan
from feat2go.envs.maniskill.experts.lift_peg_upright import lift_peg_upright
from feat2go.envs.maniskill.experts.pick_cube import pick_cube
from feat2go.envs.maniskill.experts.place_sphere import place_sphere
from feat2go.envs.maniskill.experts.poke_cube import poke_cube
from feat2go.envs.maniskill.experts.push_pull import pull_cube, push_cube
from feat2go.envs.maniskill.experts.put_on import put_on
from feat2go.envs.maniskill.experts.stack_cube import stack_cube
from feat2go.envs.maniskill.experts.two_robots import two_robot_pick_cube, two_robot_stack_cube

EXPERTS: dict[str, Plan] = {
    "PickCube-v1": pick_cube,
    "StackCube-v1": stack_cube,
    "PushCube-v1": push_cube,
    "PullCube-v1": pull_cube,
    "PlaceSphere-v1": place_sphere,
    "LiftPegUpright-v1": lift_peg_upright,
    "PokeCube-v1": poke_cube,
    "PutOn-v1": put_on,
    "TwoRobotPickCube-v1": two_robot_pick_cube,
    "TwoRobotStackCube-v1": two_robot_stack_cube,
}
TWO_ARMS = ("TwoRobotPickCube-v1", "TwoRobotStackCube-v1")


def expert_for(config: SimulationConfig, env: Any, row: int) -> Expert | None:
    """The expert for one row of a ManiSkill environment, or None for a task without one."""
    plan = EXPERTS.get(config.task)
    if plan is None:
        return None
    numbers: list[int | None] = [0, 1] if config.task in TWO_ARMS else [None]
    arms = [Arm(env, row, config.expert_noise, config.expert_tempo, number, config.expert_turns) for number in numbers]
    return Expert(plan, arms, config.expert_detours)


__all__ = ["EXPERTS", "Expert", "expert_for"]
