"""The same states seen otherwise, rendered anew: in other light, among things that don't matter, from elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from feat2go.envs.maniskill.scene import Scene

Kind = Literal["light", "distractors", "view"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Of severities 1, 2, 3. Moderate is 2.
_BRIGHTNESS = (0.85, 0.65, 0.45)
_LEAN_DEG = (10.0, 25.0, 45.0)
_NUM_DISTRACTORS = (1, 3, 6)
_SHIFT = (0.02, 0.05, 0.1)
_ROTATION_DEG = (1.0, 3.0, 6.0)
# Distractors have about the size of the tasks' own objects, and stay clear of where anything passes.
_HALF_SIZE_M = (0.015, 0.03)
_CLEARANCE_M = 0.09
# Where in the picture they lie, from its middle (0) to its edge (1).
_MAX_ECCENTRICITY = 0.9
_MAX_DRAWS = 300


@dataclass(frozen=True)
class Variation:
    """One way to see an episode otherwise, the same in all its frames.

    - ``light``: all lights have 85, 65 or 45 % of their strength, and lean 10, 25 or 45 degrees to a side.
    - ``distractors``: one, three or six boxes and balls of random sizes and colours lie on the table, in the picture
      and 9 cm from where a gripper or the middle of an object passes; fewer where there is no room. They are drawn
      only: nothing can touch them.
    - ``view``: the camera stands 2, 5 or 10 % of its distance elsewhere and looks 1, 3 or 6 degrees aside.

    Attributes:
        kind: what changes.
        severity: 1, 2 or 3.
        seed: chooses sides, places and colours.

    Raises:
        ValueError: for another kind or severity.
    """

    kind: Kind
    severity: int
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a variation is one of {', '.join(KINDS)}; got '{self.kind}'")
        if self.severity not in (1, 2, 3):
            raise ValueError(f"severity is 1, 2 or 3; got {self.severity}")


@contextlib.contextmanager
def varied(scene: Scene, variation: Variation, occupied: np.ndarray) -> Iterator[None]:
    """Change what one episode looks like, and change it back.

    Args:
        scene: after its reset.
        variation: of the episode.
        occupied: (N, 2), where on the table things pass during the episode, in metres.
    """
    rng = np.random.default_rng([KINDS.index(variation.kind), variation.severity, variation.seed])
    level = variation.severity - 1
    if variation.kind == "light":
        change = _other_light(scene, _BRIGHTNESS[level], np.deg2rad(_LEAN_DEG[level]), rng)
    elif variation.kind == "distractors":
        change = _distractors(scene, _NUM_DISTRACTORS[level], occupied, rng)
    else:
        change = _other_view(scene, _SHIFT[level], np.deg2rad(_ROTATION_DEG[level]), rng)
    with change:
        yield


@contextlib.contextmanager
def _other_light(scene: Scene, brightness: float, lean: float, rng: np.random.Generator) -> Iterator[None]:
    import sapien

    system = scene.env.scene.sub_scenes[0].render_system
    angle = rng.uniform(0, 2 * np.pi)
    side = np.tan(lean) * np.array([np.cos(angle), np.sin(angle), 0.0])
    ambient = np.array(system.ambient_light)
    before = [(light, np.array(light.color), light.local_pose) for light in system.lights]
    system.ambient_light = brightness * ambient
    for light, colour, pose in before:
        light.color = brightness * colour
        forward = pose.to_transformation_matrix()[:3, 0] + side
        rotation = sapien.math.shortest_rotation([1, 0, 0], forward / np.linalg.norm(forward))
        light.local_pose = sapien.Pose(pose.p, rotation)
    try:
        yield
    finally:
        system.ambient_light = ambient
        for light, colour, pose in before:
            light.color, light.local_pose = colour, pose


@contextlib.contextmanager
def _distractors(scene: Scene, num_distractors: int, occupied: np.ndarray, rng: np.random.Generator) -> Iterator[None]:
    space = scene.env.scene.sub_scenes[0]
    taken = list(occupied)
    for _ in range(num_distractors):
        taken += _free_place(scene, taken, rng)
    placed = [_drawn_only(place, rng) for place in taken[len(occupied) :]]
    for entity in placed:
        space.add_entity(entity)
    try:
        yield
    finally:
        for entity in placed:
            space.remove_entity(entity)


def _free_place(scene: Scene, taken: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """A place (2,) on the table that the picture shows, away from those taken; none where there is no room."""
    matrix = scene.camera.get_local_pose().sp.to_transformation_matrix()
    edge = _MAX_ECCENTRICITY * np.tan(scene.camera.fovy / 2)
    for across, up in rng.uniform(-edge, edge, (_MAX_DRAWS, 2)):
        # SAPIEN's cameras look along x, with y to the left and z up.
        ray = matrix[:3, :3] @ np.array([1.0, -across, up])
        if ray[2] >= 0:
            continue
        place = (matrix[:3, 3] - matrix[2, 3] / ray[2] * ray)[:2]
        if np.linalg.norm(np.array(taken) - place, axis=1).min() >= _CLEARANCE_M:
            return [place]
    return []


def _drawn_only(place: np.ndarray, rng: np.random.Generator) -> Any:
    """A box or a ball on the table, whose top is at a height of 0, that physics knows nothing of."""
    import sapien

    material = sapien.render.RenderMaterial(base_color=[*rng.uniform(0, 1, 3), 1.0])
    size = rng.uniform(*_HALF_SIZE_M)
    is_ball = rng.random() < 0.5
    shape = (
        sapien.render.RenderShapeSphere(size, material)
        if is_ball
        else sapien.render.RenderShapeBox([size, size, size], material)
    )
    body = sapien.render.RenderBodyComponent()
    body.attach(shape)
    entity = sapien.Entity()
    entity.add_component(body)
    turn = rng.uniform(0, np.pi)
    entity.pose = sapien.Pose([*place, size], [np.cos(turn / 2), 0, 0, np.sin(turn / 2)])
    return entity


@contextlib.contextmanager
def _other_view(scene: Scene, shift: float, rotation: float, rng: np.random.Generator) -> Iterator[None]:
    from mani_skill.utils import sapien_utils

    camera = scene.camera
    before = camera.get_local_pose().sp
    matrix = before.to_transformation_matrix()
    # Where its line of sight meets the table.
    distance = matrix[2, 3] / -matrix[2, 0]
    target = matrix[:3, 3] + distance * matrix[:3, 0]
    position = matrix[:3, 3] + shift * distance * _direction(rng)
    looked_at = target + distance * np.tan(rotation) * _direction(rng)
    camera.set_local_pose(sapien_utils.look_at(position, looked_at).sp)
    try:
        yield
    finally:
        camera.set_local_pose(before)


def _direction(rng: np.random.Generator) -> np.ndarray:
    """(3,), of length 1."""
    drawn = rng.normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn))
