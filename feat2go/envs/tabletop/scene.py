"""What an episode starts from, as a function of its seed: which things, where, and the sentence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feat2go.envs.tabletop.arrays import Floats
from feat2go.envs.tabletop.kinds import COLOURS, OBJECTS, RECEPTACLES, Kind
from feat2go.envs.tabletop.language import TEMPLATES, instruction

# Half extents in metres of the area that things are placed in at workspace = 1.
AREA = np.array([0.16, 0.21])
# The fingers must fit between an object and what stands beside it.
OBJECT_CLEARANCE = 0.03
RECEPTACLE_CLEARANCE = 0.015
NUM_TRIES = 200
NUM_LAYOUTS = 50


@dataclass(frozen=True)
class Item:
    """One thing on the table: its kind, colour, position (x, y) in metres and yaw in radians."""

    name: str
    kind: Kind
    colour: tuple[int, int, int]
    position: Floats
    yaw: float


@dataclass(frozen=True)
class Scene:
    """The start of an episode. The first object and the first receptacle are the ones that the instruction names.

    Attributes:
        objects, receptacles: what stands on the table.
        gripper: x, y, z of the point between the finger tips, in metres.
        gripper_yaw: in radians.
        instruction: the task in words.
    """

    objects: list[Item]
    receptacles: list[Item]
    gripper: Floats
    gripper_yaw: float
    instruction: str


@dataclass(frozen=True)
class SceneSampler:
    """Draws scenes.

    Args:
        objects, receptacles, colours: the names to draw from.
        num_distractors: objects beside the named one.
        num_receptacles: receptacles in all.
        workspace: scale of the area that things, and the gripper at the start, are placed in. Where they do not fit,
            the area grows, up to that of workspace = 1.
    """

    objects: Sequence[str]
    receptacles: Sequence[str]
    colours: Sequence[str]
    num_distractors: int
    num_receptacles: int
    workspace: float

    def __call__(self, seed: int) -> Scene:
        """The scene of an episode seed."""
        rng = np.random.default_rng(seed)
        objects = _draw(rng, self.objects, self.colours, 1 + self.num_distractors)
        # The named receptacle has another colour than the named object, or the object could not be seen on it.
        others = [colour for colour in self.colours if colour != objects[0][1]] or self.colours
        receptacles = _draw(rng, self.receptacles, others, 1)
        receptacles += _draw(rng, self.receptacles, self.colours, self.num_receptacles - 1, taken=receptacles)
        items = self._place(rng, receptacles, objects)
        jitter = rng.uniform(-1.0, 1.0, size=4)
        gripper = np.array([-0.04, 0.0, 0.14]) + self.workspace * np.array([0.04, 0.08, 0.03]) * jitter[:3]
        sentence = instruction(int(rng.integers(len(TEMPLATES))), _named(objects[0]), _named(receptacles[0]))
        return Scene(
            items[len(receptacles) :], items[: len(receptacles)], gripper, 0.3 * self.workspace * jitter[3], sentence
        )

    def _place(
        self, rng: np.random.Generator, receptacles: list[tuple[str, str]], objects: list[tuple[str, str]]
    ) -> list[Item]:
        """Receptacles first, since they are large and hard to fit."""
        wanted = [(RECEPTACLES[name], RECEPTACLE_CLEARANCE, name, colour) for name, colour in receptacles]
        wanted += [(OBJECTS[name], OBJECT_CLEARANCE, name, colour) for name, colour in objects]
        for attempt in range(NUM_LAYOUTS):
            workspace = min(1.0, self.workspace + 0.1 * attempt)
            items: list[Item] = []
            for kind, clearance, name, colour in wanted:
                position = _free_position(rng, kind, clearance, items, workspace)
                if position is None:
                    break
                turn = kind.symmetry / 2
                items.append(Item(name, kind, COLOURS[colour], position, float(rng.uniform(-turn, turn))))
            else:
                return items
        raise RuntimeError("no layout without overlaps was found; ask for fewer distractors or receptacles")


def _free_position(
    rng: np.random.Generator, kind: Kind, clearance: float, items: list[Item], workspace: float
) -> Floats | None:
    """The first of many candidates that is far enough from all items; later candidates are spread wider."""
    spread = np.linspace(workspace, 1.0, NUM_TRIES)[:, None] * AREA
    candidates = spread * rng.uniform(-1.0, 1.0, size=(NUM_TRIES, 2))
    free = np.ones(NUM_TRIES, dtype=bool)
    for item in items:
        distance = np.linalg.norm(candidates - item.position, axis=1)
        free &= distance > item.kind.reach + kind.reach + clearance
    return candidates[free.argmax()] if free.any() else None


def _named(item: tuple[str, str]) -> str:
    name, colour = item
    return f"{colour} {name}"


def _draw(
    rng: np.random.Generator,
    names: Sequence[str],
    colours: Sequence[str],
    count: int,
    taken: Sequence[tuple[str, str]] = (),
) -> list[tuple[str, str]]:
    """``count`` different pairs of name and colour, so that the instruction is never ambiguous."""
    pairs = [pair for pair in itertools.product(names, colours) if pair not in taken]
    return [pairs[i] for i in rng.permutation(len(pairs))[:count]]
