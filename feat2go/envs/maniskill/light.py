"""Render assets that software rendering can afford. Collision shapes, and with them the physics, stay as they are.

A software rasteriser's time goes into vertices: the Panda's visual meshes have 157,000 triangles, the camera on its
wrist 425,000 more, the floor 20,000. The robot's collision meshes, 4,000 triangles in all, look much the same at the
sizes that a policy sees. SAPIEN also integrates a reflection table for seconds of CPU time, which only matters with an
environment map.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np

from feat2go.core.files import atomic_write, home

FLOOR_WIDTH_M = 10
_ARM_COLOUR = "0.92 0.92 0.92 1"
_HAND_COLOUR = "0.35 0.35 0.37 1"


@functools.cache
def install() -> None:
    """Let every ManiSkill environment that this process builds from now on use them."""
    from mani_skill.agents.robots.panda.panda import Panda
    from mani_skill.agents.robots.panda.panda_wristcam import PandaWristCam

    for robot in (Panda, PandaWristCam):
        robot.urdf_path = str(light_urdf(Path(robot.urdf_path)))
    _shrink_floor()


def light_urdf(source: Path) -> Path:
    """The robot description with collision geometry as its visuals, under ``core.files.home()``."""
    digest = hashlib.sha256(str(source).encode() + source.read_bytes()).hexdigest()[:16]
    light = home() / "maniskill" / f"{source.stem}-light-{digest}.urdf"
    if light.exists():
        return light
    robot = ET.parse(source).getroot()
    for link in robot.iter("link"):
        for visual in link.iter("visual"):
            _lighten(visual, link, source.parent)
    for mesh in robot.iter("mesh"):
        mesh.set("filename", str(source.parent / mesh.attrib["filename"]))
    with atomic_write(light) as partial:
        ET.ElementTree(robot).write(partial)
    return light


def _lighten(visual: ET.Element, link: ET.Element, folder: Path) -> None:
    """Draw a visual mesh as its collision mesh; where it has none, as the collision shape of its link."""
    mesh = visual.find("geometry/mesh")
    if mesh is None:
        return
    visible = Path(mesh.attrib["filename"])
    collision = visible.parent.with_name("collision") / f"{visible.stem}.stl"
    shape = link.find("collision")
    if (folder / collision).exists():
        mesh.set("filename", str(collision))
    elif shape is not None:
        visual[:] = [part for part in shape if part.tag in ("origin", "geometry")]
    is_hand = visible.stem in ("hand", "finger")
    for material in visual.findall("material"):
        visual.remove(material)
    material = ET.SubElement(visual, "material", name=f"light_{visible.stem}")
    ET.SubElement(material, "color", rgba=_HAND_COLOUR if is_hand else _ARM_COLOUR)


def _shrink_floor() -> None:
    # `import a.b.c as name` fails here: mani_skill.envs shadows the attribute mani_skill.utils.
    table: Any = importlib.import_module("mani_skill.utils.scene_builder.table.scene_builder")
    build_ground = table.build_ground

    def build_small_ground(scene: Any, floor_width: int = FLOOR_WIDTH_M, **options: Any) -> Any:
        return build_ground(scene, floor_width=min(floor_width, FLOOR_WIDTH_M), **options)

    table.build_ground = build_small_ground


def drop_reflections(camera: Any) -> None:
    """Give a camera an all-zero reflection table before it computes one. A camera that changes its scene forgets it."""
    import sapien

    table = np.zeros((4, 4, 2), np.float32)
    texture = sapien.render.RenderTexture(table, 2, "R32G32Sfloat", filter_mode="linear", address_mode="edge")
    for component in camera._render_cameras:
        component.set_texture("BRDFLUT", texture)
