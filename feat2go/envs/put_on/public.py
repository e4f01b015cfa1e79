"""The assets of RL4VLA and RLinf, where a user has them: meshes, table photos, textures, and the WidowX-250S.

The folder, ``carrot`` in both projects, holds

    more_carrot/model_db.json   key -> {name, bbox: {min, max}, scales, density}, 25 of them
    more_carrot/KEY/            collision.obj and textured.obj, .dae or .glb
    more_plate/                 the same, 17 of them
    more_table/model_db.json    file name of a photo -> {texture: file name, ...}, 21 of them
    more_table/imgs/            the photos
    more_table/textures/        the textures

The stage and the robot come with ManiSkill's own downloads ``bridge_v2_real2sim`` and ``widowx250s``.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from feat2go.envs.put_on.assets import AssetSet, Camera, RobotSetup
from feat2go.envs.put_on.models import MeshModel, Vector
from feat2go.envs.put_on.names import NUM_TABLES, OBJECTS, RECEPTACLES
from feat2go.envs.put_on.overlay import resized

FOLDER_VARIABLE = "FEAT2GO_PUT_ON_ASSETS"
_COMMAND = "hf download --repo-type dataset RLinf/maniskill_assets --local-dir FOLDER"
_STAGE = "tasks/bridge_v2_real2sim_dataset/stages/bridge_table_1_v1.glb"

# Where RL4VLA's scene has them, in metres; the camera is that of the Bridge dataset.
_TABLE_HEIGHT_M = 0.8695
_STAGE_POSITION_M = (2.0634, 2.8313, 0.0)
_ROBOT = RobotSetup(
    uid="widowx250s_bridgedataset_flat_table",
    position=(0.147, 0.028, 0.870),
    orientation=(0.0, 0.0, 0.0, 1.0),
    qpos=(-0.01840777, 0.0398835, 0.22242722, -0.00460194, 1.36524296, 0.00153398, 0.037, 0.037),
    offset_joints=(0, 1, 2, 3, 4, 5),
    end_effector_control="arm_pd_ee_target_delta_pose_align2_gripper_pd_joint_pos",
)
_CAMERA = Camera(
    width=640,
    height=480,
    position=(0.0, -0.16, 0.36),
    orientation=(0.8992917, -0.09263245, 0.35892478, 0.23209205),
    mount="base_link",
    intrinsic=((623.588, 0.0, 319.501), (0.0, 623.588, 239.545), (0.0, 0.0, 1.0)),
)


def public_assets(folder: str | None) -> AssetSet:
    """Everything in a folder of that layout, with the robot and camera that go with it.

    Args:
        folder: see the module; it may be the parent of ``carrot``. By default the environment variable
            ``FEAT2GO_PUT_ON_ASSETS``.

    Raises:
        FileNotFoundError: naming the file that is missing and the command that gets it.
        ValueError: naming the file and the entry that is not as it should be.
    """
    from mani_skill import ASSET_DIR

    root = _root(folder)
    stage = Path(ASSET_DIR) / _STAGE
    if not stage.is_file():
        raise FileNotFoundError(f"{stage}: missing; `python -m mani_skill.utils.download_asset bridge_v2_real2sim`")
    objects, receptacles = read_models(root)
    photos, textures = read_pictures(root)

    @functools.cache
    def tables(height: int, width: int) -> tuple[np.ndarray, ...]:
        return tuple(resized(photo, (height, width)) for photo in photos)

    return AssetSet(
        objects=objects,
        receptacles=receptacles,
        tables=tables,
        textures=textures,
        robot=_ROBOT,
        camera=_CAMERA,
        table_height=_TABLE_HEIGHT_M,
        stage=(stage, _STAGE_POSITION_M),
    )


@functools.cache
def public_names(folder: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the 25 objects and 17 receptacles of a folder are called."""
    objects, receptacles = read_models(_root(folder))
    return tuple(model.name for model in objects), tuple(model.name for model in receptacles)


def read_models(root: Path) -> tuple[tuple[MeshModel, ...], tuple[MeshModel, ...]]:
    """The objects and receptacles, in the order of their files."""
    return (
        _models(root / "more_carrot", len(OBJECTS)),
        _models(root / "more_plate", len(RECEPTACLES)),
    )


def read_pictures(root: Path) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The photos of tables and the textures, uint8 (H, W, 3) each, in the order of the file."""
    index = root / "more_table" / "model_db.json"
    entries = _entries(index, NUM_TABLES)
    photos = tuple(_picture(index.parent / "imgs" / name) for name in entries)
    names = [_field(index, name, entry, "texture") for name, entry in entries.items()]
    return photos, tuple(_picture(index.parent / "textures" / name) for name in names)


def _root(folder: str | None) -> Path:
    given = folder or os.environ.get(FOLDER_VARIABLE)
    if given is None:
        raise FileNotFoundError(
            f"assets='public' needs a folder: set asset_folder or {FOLDER_VARIABLE}; to get one: {_COMMAND}"
        )
    root = Path(given)
    if not (root / "more_carrot").is_dir() and (root / "carrot").is_dir():
        return root / "carrot"
    return root


def _models(folder: Path, num_models: int) -> tuple[MeshModel, ...]:
    index = folder / "model_db.json"
    return tuple(_model(index, key, entry) for key, entry in _entries(index, num_models).items())


def _model(index: Path, key: str, entry: dict[str, Any]) -> MeshModel:
    corners = _field(index, key, entry, "bbox")
    visuals = [index.parent / key / f"textured.{ending}" for ending in ("obj", "dae", "glb")]
    return MeshModel(
        name=str(_field(index, key, entry, "name")),
        visual_file=_existing(next((path for path in visuals if path.is_file()), visuals[-1])),
        collision_file=_existing(index.parent / key / "collision.obj"),
        corners=(_corner(index, key, corners, "min"), _corner(index, key, corners, "max")),
        scale=float(entry.get("scales", [1.0])[0]),
        density=float(entry.get("density", 1000)),
    )


def _corner(index: Path, key: str, corners: Any, name: str) -> Vector:
    corner = corners.get(name) if isinstance(corners, dict) else None
    if not isinstance(corner, list) or len(corner) != 3:
        raise ValueError(f"{index}: '{key}': bbox.{name} must be three numbers; got {corner}")
    x, y, z = (float(value) for value in corner)
    return x, y, z


def _entries(index: Path, num_entries: int) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads(_existing(index).read_text())
    if len(entries) != num_entries:
        raise ValueError(f"{index}: {num_entries} entries are needed, found {len(entries)}")
    return entries


def _field(index: Path, key: str, entry: dict[str, Any], name: str) -> Any:
    if name not in entry:
        raise ValueError(f"{index}: '{key}' has no '{name}'; found {', '.join(entry)}")
    return entry[name]


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(_existing(path)) as picture:
        return np.asarray(picture.convert("RGB"))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing from the put-on assets; to get them: {_COMMAND}")
    return path
