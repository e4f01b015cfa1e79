"""ManiSkill's ``pd_ee_delta_pose`` controller for one row on a CPU, without its tensors of one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class EndEffectorControl:
    """Sets the arm's joint targets from a 6-d end-effector delta, as the stock controller does, in a tenth of its time.

    The stock controller spends 2 ms per step on small tensors; the inverse kinematics itself takes 0.1 ms.

    Args:
        controller: the stock controller of the arm, whose limits and solver are used.
    """

    def __init__(self, controller: Any) -> None:
        import sapien

        kinematics = controller.kinematics
        self._pose = sapien.Pose
        self._solver = kinematics.pmodel
        self._link_index = kinematics.end_link_idx
        self._mask = kinematics.qmask.numpy()
        self._solver_joints = kinematics.pmodel_active_joint_indices.numpy()
        self._solved_joints = kinematics.pmodel_controlled_joint_indices.numpy()
        self._driven_joints = controller.active_joint_indices.numpy()
        self._robot = controller.articulation._objs[0]
        self._link = controller.ee_link._objs[0]
        self._root = controller.root_link._objs[0]
        self._joints = [joint._objs[0] for joint in controller.joints]
        self._metres_per_unit = float(controller.config.pos_upper)
        self._radians_per_unit = float(controller.config.rot_lower)

    def __call__(self, action: torch.Tensor) -> None:
        """Takes the place of ``controller.set_action``: (1, 6)."""
        delta = action[0].numpy().astype(np.float64)
        move = delta[:3].clip(-1, 1) * self._metres_per_unit
        turn = delta[3:] / max(1.0, float(np.linalg.norm(delta[3:]))) * self._radians_per_unit
        present = self._root.pose.inv() * self._link.pose
        turned = self._pose(q=_quaternion(turn)) * self._pose(q=present.q)
        qpos = self._robot.qpos
        solution, converged, _ = self._solver.compute_inverse_kinematics(
            self._link_index,
            self._pose(present.p + move, turned.q),
            initial_qpos=qpos[self._solver_joints],
            active_qmask=self._mask,
            max_iterations=100,
        )
        targets = solution[self._solved_joints] if converged else qpos[self._driven_joints]
        for joint, target in zip(self._joints, targets, strict=True):
            joint.set_drive_target(float(target))


def can_replace(controller: Any) -> bool:
    """Whether the stock controller is one that ``EndEffectorControl`` stands in for."""
    config = controller.config
    return (
        controller.device.type == "cpu"
        and getattr(config, "frame", None) == "root_translation:root_aligned_body_rotation"
        and config.use_delta
        and not config.use_target
        and not config.interpolate
        and config.normalize_action
        and isinstance(config.pos_upper, float)
        and isinstance(config.rot_lower, float)
        and config.pos_lower == -config.pos_upper
    )


def _quaternion(angles: np.ndarray) -> np.ndarray:
    """Rotation about x, then y, then z, each about its own turned axis; real part first."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles / 2), np.sin(angles / 2)
    return np.array(
        [
            cx * cy * cz - sx * sy * sz,
            sx * cy * cz + cx * sy * sz,
            cx * sy * cz - sx * cy * sz,
            cx * cy * sz + sx * sy * cz,
        ]
    )
