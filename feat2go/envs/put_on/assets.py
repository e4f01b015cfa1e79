"""What a put-on scene is made of: things, pictures, a robot and a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from feat2go.envs.put_on.models import Model, Vector

AssetsName = Literal["shipped", "public"]


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
        width, height: in pixels, before the picture is made square; 0 for the side of the square.
        position, orientation: in the frame of what it is mounted to; a quaternion with its real part first.
        mount: link of the robot, or None for the world.
        fov: vertical field of view in rad, or None where ``intrinsic`` says it.
        intrinsic: 3 by 3, in pixels, or None.
    """

    width: int
    height: int
    position: Vector
    orientation: tuple[float, float, float, float]
    mount: str | None = None
    fov: float | None = None
    intrinsic: tuple[tuple[float, float, float], ...] | None = None


@dataclass(frozen=True)
class RobotSetup:
    """The robot and how it begins.

    Attributes:
        uid: ManiSkill's name of it.
        position, orientation: of its base, the quaternion with its real part first.
        qpos: joint angles in rad, then the fingers' in m.
        offset_joints: indices of the six joints that ``placements.joint_offsets`` belongs to.
        end_effector_control: ManiSkill's name of the robot's control by end-effector deltas.
    """

    uid: str
    position: Vector
    orientation: tuple[float, float, float, float]
    qpos: tuple[float, ...]
    offset_joints: tuple[int, ...]
    end_effector_control: str = "pd_ee_delta_pose"


@dataclass(frozen=True)
class AssetSet:
    """Everything that settings refer to by index.

    Attributes:
        objects, receptacles: 25 and 17 things.
        tables: draws the 21 pictures, uint8 (height, width, 3) each, for a camera's height and width.
        textures: 21 pictures of any size.
        robot, camera: how they stand.
        table_height: of the table top, in metres.
        stage: mesh of the table and its surroundings with its pose's position; None for a plain table.
    """

    objects: tuple[Model, ...]
    receptacles: tuple[Model, ...]
    tables: Callable[[int, int], tuple[np.ndarray, ...]]
    textures: tuple[np.ndarray, ...]
    robot: RobotSetup
    camera: Camera
    table_height: float
    stage: tuple[Path, Vector] | None = None


def asset_set(name: AssetsName, folder: str | None) -> AssetSet:
    """The shipped set, or the public one from a folder.

    Raises:
        ValueError: for another name, or a folder that does not go with it.
        FileNotFoundError: if a public asset is missing, with the command that gets it.
    """
    if name == "shipped":
        if folder is not None:
            raise ValueError("asset_folder goes with assets='public'; the shipped assets need no files")
        return _shipped()
    if name == "public":
        from feat2go.envs.put_on.public import public_assets

        return public_assets(folder)
    raise ValueError(f"assets is 'shipped' or 'public'; got '{name}'")


# The camera of the shipped set: across the table, beside the robot's workspace.
_CAMERA_POSITION_M, _CAMERA_TARGET_M, _CAMERA_FOV_RAD = (0.27, 0.29, 0.40), (-0.17, 0.0, 0.1), 0.74


def _shipped() -> AssetSet:
    from feat2go.envs.put_on.shipped_objects import shipped_objects, shipped_receptacles
    from feat2go.envs.put_on.shipped_pictures import shipped_tables, shipped_textures

    def tables(height: int, width: int) -> tuple[np.ndarray, ...]:
        return shipped_tables(height, _CAMERA_POSITION_M, _CAMERA_TARGET_M, _CAMERA_FOV_RAD)

    return AssetSet(
        objects=shipped_objects(),
        receptacles=shipped_receptacles(),
        tables=tables,
        textures=shipped_textures(),
        robot=RobotSetup(
            uid="panda",
            position=(-0.615, 0.0, 0.0),
            orientation=(1.0, 0.0, 0.0, 0.0),
            # The gripper looks down, 0.23 m above the middle of the grid.
            qpos=(0.0, -0.1, 0.0, -2.5, 0.0, 2.4, float(np.pi / 4), 0.04, 0.04),
            # Waist, shoulder, elbow, forearm, wrist bend and wrist turn; the Panda's third joint stays.
            offset_joints=(0, 1, 3, 4, 5, 6),
        ),
        camera=Camera(0, 0, _CAMERA_POSITION_M, _looking(_CAMERA_POSITION_M, _CAMERA_TARGET_M), fov=_CAMERA_FOV_RAD),
        table_height=0.0,
    )


def _looking(position: Vector, target: Vector) -> tuple[float, float, float, float]:
    """The orientation of a camera that looks along its x axis, with z up."""
    from scipy.spatial.transform import Rotation

    forward = np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
    left = np.cross([0.0, 0.0, 1.0], forward)
    left /= np.linalg.norm(left)
    axes: Any = np.stack([forward, left, np.cross(forward, left)], axis=1)
    x, y, z, w = Rotation.from_matrix(axes).as_quat()
    return float(w), float(x), float(y), float(z)
