"""From our actions to ManiSkill's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from feat2go.envs.maniskill.end_effector import EndEffectorControl, can_replace

# For a robot that takes metres and radians, such as the WidowX of the Bridge dataset.
_RAW_METRES_PER_UNIT, _RAW_RADIANS_PER_UNIT = 0.1, 0.5


class Control:
    """Carries out flat actions of one robot, or of several one after the other.

    End-effector actions are (x, y, z, rx, ry, rz, gripper) per arm, in the axes of the robot's base: a translation of
    0.1 m per unit, a right-handed rotation vector of 0.1 rad per unit whose length is cut at 1 unit, and a gripper that
    opens at +1 and closes at -1. A robot whose own actions are in metres and radians gets 0.5 rad per unit. Joint
    actions are one delta per joint (0.1 rad per unit for the Panda), then the gripper.

    Attributes:
        agents: the robots.
        action_dim: A.
    """

    def __init__(self, env: Any, control: str) -> None:
        self._env = env
        several = getattr(env.agent, "agents_dict", None)
        self._agents = several or {"": env.agent}
        self._widths = [agent.single_action_space.shape[0] for agent in self._agents.values()]
        self._is_dict = several is not None
        self.agents = list(self._agents.values())
        self.action_dim = sum(self._widths)
        self._scales = np.concatenate([_scales(agent, control) for agent in self.agents])
        for agent in self.agents:
            _set_targets_directly(agent.controller)
            if control == "ee":
                _speed_up(agent.controller.controllers["arm"])

    def apply(self, actions: np.ndarray) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Carry out float32 (N, A); returns the task's reward (N,), if it is told to compute one, and its flags."""
        command = torch.from_numpy(actions * self._scales).to(self._env.device)
        parts = torch.split(command, self._widths, dim=1)
        step = self._env.step(dict(zip(self._agents, parts, strict=True)) if self._is_dict else command)
        _, reward, *_, flags = step
        return reward, dict(flags)


def _set_targets_directly(controller: Any) -> None:
    """Let a controller of one row on a CPU set joint targets without ManiSkill's tensor for each joint."""
    if controller.device.type != "cpu" or controller.scene.num_envs > 1:
        return
    for part in getattr(controller, "controllers", {"": controller}).values():
        if hasattr(part, "set_drive_targets"):
            part.set_drive_targets = _TargetSetter(part.joints)


class _TargetSetter:
    """Takes the place of ``controller.set_drive_targets``: float32 (1, J or more)."""

    def __init__(self, joints: Sequence[Any]) -> None:
        self._joints = [joint._objs[0] for joint in joints]

    def __call__(self, targets: torch.Tensor) -> None:
        for joint, target in zip(self._joints, targets[0].tolist(), strict=False):
            joint.set_drive_target(target)


def _speed_up(arm: Any) -> None:
    if can_replace(arm):
        arm.set_action = EndEffectorControl(arm)


def _scales(agent: Any, control: str) -> np.ndarray:
    """What ManiSkill is given for one unit of each dimension of an action."""
    scales = np.ones(agent.single_action_space.shape[0], np.float32)
    if control != "ee":
        return scales
    config = agent.controller.controllers["arm"].config
    if config.normalize_action:
        # ManiSkill multiplies rotations by rot_lower, which is negative, so it turns the other way round.
        scales[3:6] = np.sign(config.rot_lower)
    else:
        scales[:3], scales[3:6] = _RAW_METRES_PER_UNIT, _RAW_RADIANS_PER_UNIT
    return scales
