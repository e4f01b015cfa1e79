"""What a thing on the table is made of: primitive shapes, or mesh files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

Vector = tuple[float, float, float]
Colour = tuple[float, float, float]
Shape = Literal["box", "ball", "rod x", "rod y", "rod z"]

# As in RL4VLA, for all things: nothing slips.
_FRICTION = 1.0
# SAPIEN's cylinders lie along x; these quaternions, real part first, turn them to the named axis.
_ALONG = {
    "rod x": (1.0, 0.0, 0.0, 0.0),
    "rod y": (0.7071068, 0.0, 0.0, 0.7071068),
    "rod z": (0.7071068, 0.0, 0.7071068, 0.0),
}


class Model(Protocol):
    """A thing, at rest in its own frame: z is up.

    Attributes:
        name: in words.
        lower, upper: corners of its bounding box in metres.
        grasp: (x, y, z) in metres where a gripper should close, and the yaw in rad along which the thing is long.
    """

    @property
    def name(self) -> str: ...

    @property
    def lower(self) -> np.ndarray: ...

    @property
    def upper(self) -> np.ndarray: ...

    @property
    def grasp(self) -> tuple[np.ndarray, float]: ...

    def add_to(self, builder: Any) -> None:
        """Add its shapes to a ManiSkill actor builder."""


@dataclass(frozen=True)
class Part:
    """A primitive.

    Attributes:
        shape: a box, a ball, or a cylinder along an axis.
        size: half extents in metres along x, y, z; of a round shape, those of its bounding box.
        centre: in metres.
        colour: RGB in [0, 1].
        is_solid: False for decoration that nothing touches.
    """

    shape: Shape
    size: Vector
    centre: Vector
    colour: Colour
    is_solid: bool = True


@dataclass(frozen=True)
class PrimitiveModel:
    """A thing of primitives.

    What lies on its side, and balls, collide as boxes: they look round, and stay where they are put.

    Args:
        name: in words.
        parts: in any frame; the origin is moved to the centre of the bounding box.
        density: kg/m³.
        grasp_part: index of the part to take it by; by default the thing as a whole.
    """

    name: str
    parts: tuple[Part, ...]
    density: float = 600.0
    grasp_part: int | None = None

    @property
    def lower(self) -> np.ndarray:
        return np.asarray(self._bounds[0] - self._origin)

    @property
    def upper(self) -> np.ndarray:
        return np.asarray(self._bounds[1] - self._origin)

    @property
    def grasp(self) -> tuple[np.ndarray, float]:
        if self.grasp_part is None:
            return grasp_of_box(self.lower, self.upper)
        part = self.parts[self.grasp_part]
        centre, size = np.subtract(part.centre, self._origin), np.array(part.size)
        return grasp_of_box(centre - size, centre + size)

    def add_to(self, builder: Any) -> None:
        for part in self.parts:
            self._add(part, builder)

    def _add(self, part: Part, builder: Any) -> None:
        import sapien

        material = sapien.render.RenderMaterial(base_color=[*part.colour, 1.0], roughness=0.7, specular=0.2)
        pose = sapien.Pose(np.subtract(part.centre, self._origin))
        touch = {"material": _friction(), "density": self.density}
        if part.is_solid and part.shape == "rod z":
            turned = sapien.Pose(pose.p, _ALONG[part.shape])
            builder.add_cylinder_collision(turned, radius=part.size[0], half_length=part.size[2], **touch)
        elif part.is_solid:
            builder.add_box_collision(pose, half_size=part.size, **touch)
        if part.shape == "box":
            builder.add_box_visual(pose, half_size=part.size, material=material)
        elif part.shape == "ball":
            builder.add_sphere_visual(pose, radius=part.size[0], material=material)
        else:
            along = "xyz".index(part.shape[-1])
            radius, half_length = part.size[(along + 1) % 3], part.size[along]
            turned = sapien.Pose(pose.p, _ALONG[part.shape])
            builder.add_cylinder_visual(turned, radius=radius, half_length=half_length, material=material)

    @property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        centres, sizes = (np.array([getattr(part, name) for part in self.parts]) for name in ("centre", "size"))
        return (centres - sizes).min(axis=0), (centres + sizes).max(axis=0)

    @property
    def _origin(self) -> np.ndarray:
        lower, upper = self._bounds
        return np.asarray((lower + upper) / 2)


@dataclass(frozen=True)
class MeshModel:
    """A thing from mesh files, at their own scale and in their own frame.

    Attributes:
        name: in words.
        visual_file, collision_file: what SAPIEN loads.
        corners: lower and upper corner of the bounding box in metres.
        scale: of both files and the corners.
        density: kg/m³.
    """

    name: str
    visual_file: Path
    collision_file: Path
    corners: tuple[Vector, Vector]
    scale: float = 1.0
    density: float = 1000.0

    @property
    def lower(self) -> np.ndarray:
        return np.array(self.corners[0]) * self.scale

    @property
    def upper(self) -> np.ndarray:
        return np.array(self.corners[1]) * self.scale

    @property
    def grasp(self) -> tuple[np.ndarray, float]:
        return grasp_of_box(self.lower, self.upper)

    def add_to(self, builder: Any) -> None:
        scale = [self.scale] * 3
        builder.add_multiple_convex_collisions_from_file(
            filename=str(self.collision_file), scale=scale, material=_friction(), density=self.density
        )
        builder.add_visual_from_file(filename=str(self.visual_file), scale=scale)


def grasp_of_box(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, float]:
    """Where to take a box and the yaw along which it is long: not deeper below its top than fingers reach."""
    centre, size = (lower + upper) / 2, upper - lower
    height = max(centre[2], upper[2] - 0.025)
    return np.array([centre[0], centre[1], height]), 0.0 if size[0] >= size[1] else np.pi / 2


def _friction() -> Any:
    import sapien

    return sapien.physx.PhysxMaterial(static_friction=_FRICTION, dynamic_friction=_FRICTION, restitution=0.0)
