"""The settings of the put-on suite: in distribution, and what differs out of it. No simulator in here.

An episode's state is a function of its id in [0, ``num_states``): the id is a number whose digits choose the object,
the setting's extra factor, the receptacle, the table, the placement and the yaw, the yaw changing fastest. Definitions
are those of RL4VLA ("What Can RL Bring to VLA Generalization?", tasks PutOnPlateInScene25*); where RLinf's
copy of them differs, its reading has a name of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from feat2go.envs.put_on import names
from feat2go.envs.put_on.placements import (
    UNSEEN_YAWS,
    YAWS,
    joint_offsets,
    pairs,
    ring_pairs,
    triples_with_far_objects,
    triples_with_far_receptacles,
)

Category = Literal["ID", "Vision", "Semantic", "Execution"]
# What a setting varies besides the common factors; at most one thing.
Extra = Literal["texture", "phrasing", "second object", "second receptacle", "joint offset"]
# Where a texture is blended over the picture.
Area = Literal["robot and objects", "whole picture"]

Position = tuple[float, float]

_NO_OFFSET = (0.0,) * 6


@dataclass(frozen=True)
class EpisodeState:
    """Everything that an episode starts from, and what becomes of it on its own.

    Attributes:
        episode_id: the state's number in its setting.
        object, receptacle, table: which; indices into the asset set.
        object_position, receptacle_position: (x, y) in metres.
        yaw: of the objects, in rad; receptacles are not turned.
        phrasing: index into ``names.PHRASINGS``.
        texture, texture_area, texture_strength: blended over the picture; strength 0 for none.
        second_object, second_receptacle: what else lies there, at ``third_position``; None for nothing.
        third_position: (x, y) in metres, or None.
        moves_to: (x, y) in metres, where the object jumps after five steps, or None.
        joint_offset: six angles in rad, see ``placements.joint_offsets``.
    """

    episode_id: int
    object: int
    receptacle: int
    table: int
    object_position: Position
    receptacle_position: Position
    yaw: float
    phrasing: int = 0
    texture: int = 0
    texture_area: Area = "whole picture"
    texture_strength: float = 0.0
    second_object: int | None = None
    second_receptacle: int | None = None
    third_position: Position | None = None
    moves_to: Position | None = None
    joint_offset: tuple[float, ...] = _NO_OFFSET

    @property
    def objects(self) -> list[int]:
        """The object, then the second one if there is one."""
        return [self.object, *([] if self.second_object is None else [self.second_object])]

    @property
    def receptacles(self) -> list[int]:
        """The receptacle, then the second one if there is one."""
        return [self.receptacle, *([] if self.second_receptacle is None else [self.second_receptacle])]


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: what users call it.
        category: which column of the table it counts for.
        summary: what differs from training.
        objects, receptacles, tables: those that occur.
        placements: float64 (M, 2 or 3, 2), see ``placements``.
        yaws: of the objects, in rad.
        extra: what else varies, over ``num_extras`` choices.
        texture_area, texture_strength: for the extra "texture".
        texture_of_table: the texture is that of the table and table 0 has none, instead of one of 16 for any table.
        moves_object: the object jumps to the third point after five steps.
    """

    name: str
    category: Category
    summary: str
    objects: range = names.TRAIN_OBJECTS
    receptacles: range = names.TRAIN_RECEPTACLES
    tables: range = names.TRAIN_TABLES
    placements: Callable[[], np.ndarray] = pairs
    yaws: tuple[float, ...] = YAWS
    extra: Extra | None = None
    texture_area: Area = "whole picture"
    texture_strength: float = 0.0
    texture_of_table: bool = False
    moves_object: bool = False

    @property
    def num_extras(self) -> int:
        """Choices of the extra factor; 1 without one."""
        if self.extra is None:
            return 1
        return {
            "texture": len(names.BLENDED_TEXTURES),
            "phrasing": len(names.UNSEEN_PHRASINGS),
            "second object": len(self.objects) - 1,
            "second receptacle": len(self._second_receptacles) - 1,
            "joint offset": len(joint_offsets()),
        }[self.extra]

    @property
    def num_states(self) -> int:
        """How many episodes there are."""
        return math.prod(self._sizes)

    def episode_id(self, seed: int) -> int:
        """The episode that a seed stands for: every one is equally likely."""
        return int(np.random.default_rng(seed).integers(self.num_states))

    def state(self, episode_id: int) -> EpisodeState:
        """The episode with this id.

        Raises:
            ValueError: for an id outside of [0, ``num_states``).
        """
        if not 0 <= episode_id < self.num_states:
            raise ValueError(f"'{self.name}' has the episodes [0, {self.num_states}); got {episode_id}")
        object_index, extra, receptacle_index, table_index, placement, yaw = np.unravel_index(episode_id, self._sizes)
        points = [(float(x), float(y)) for x, y in self.placements()[placement]]
        third = points[2] if len(points) == 3 else None
        table = self.tables[int(table_index)]
        return EpisodeState(
            episode_id=episode_id,
            object=self.objects[int(object_index)],
            receptacle=self.receptacles[int(receptacle_index)],
            table=table,
            object_position=points[0],
            receptacle_position=points[1],
            yaw=self.yaws[int(yaw)],
            phrasing=names.UNSEEN_PHRASINGS[int(extra)] if self.extra == "phrasing" else 0,
            texture=self._texture(int(extra), table),
            texture_area=self.texture_area,
            texture_strength=0.0 if self.texture_of_table and table == 0 else self.texture_strength,
            second_object=self._second_object(int(object_index), int(extra)),
            second_receptacle=self._second_receptacle(int(receptacle_index), int(extra)),
            third_position=third,
            moves_to=third if self.moves_object else None,
            joint_offset=self._joint_offset(int(extra)),
        )

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (
            len(self.objects),
            self.num_extras,
            len(self.receptacles),
            len(self.tables),
            len(self.placements()),
            len(self.yaws),
        )

    @property
    def _second_receptacles(self) -> range:
        """The target and its rivals: among unseen receptacles if it is one, else among all."""
        return self.receptacles if len(self.receptacles) > 1 else range(len(names.RECEPTACLES))

    def _texture(self, extra: int, table: int) -> int:
        if self.extra != "texture":
            return 0
        return table if self.texture_of_table else names.BLENDED_TEXTURES[extra]

    def _second_object(self, index: int, extra: int) -> int | None:
        if self.extra != "second object":
            return None
        return self.objects[(index + 1 + extra) % len(self.objects)]

    def _second_receptacle(self, index: int, extra: int) -> int | None:
        if self.extra != "second receptacle":
            return None
        rivals = self._second_receptacles
        return rivals[(index + 1 + extra) % len(rivals)]

    def _joint_offset(self, extra: int) -> tuple[float, ...]:
        if self.extra != "joint offset":
            return _NO_OFFSET
        return tuple(joint_offsets()[extra].tolist())


def _texture_settings(suffix: str, texture_of_table: bool) -> list[Setting]:
    areas: list[tuple[str, Area]] = [("texture", "robot and objects"), ("noise", "whole picture")]
    reading = "a texture tied to the table, none on the first" if texture_of_table else "one of 16 textures"
    return [
        Setting(
            name=f"{prefix}_{strength}{suffix}",
            category="Vision",
            summary=f"{reading}, blended over the {area} with weight 0.{strength[1]}",
            extra="texture",
            texture_area=area,
            texture_strength=float(strength) / 10,
            texture_of_table=texture_of_table,
        )
        for prefix, area in areas
        for strength in ("03", "05")
    ]


_ALL = [
    Setting("in_distribution", "ID", "16 objects, one receptacle, 16 tables, 784 placements, 4 yaws"),
    Setting("unseen_table", "Vision", "5 unseen tables", tables=names.UNSEEN_TABLES),
    *_texture_settings("", texture_of_table=False),
    *_texture_settings("_rlinf", texture_of_table=True),
    Setting("unseen_object", "Semantic", "9 unseen objects", objects=names.UNSEEN_OBJECTS),
    Setting("unseen_receptacle", "Semantic", "16 unseen receptacles", receptacles=names.UNSEEN_RECEPTACLES),
    Setting("unseen_phrasing", "Semantic", "16 unseen phrasings", extra="phrasing"),
    Setting(
        "two_objects_seen",
        "Semantic",
        "two objects of the training set, one of them named",
        placements=triples_with_far_objects,
        extra="second object",
    ),
    Setting(
        "two_objects_unseen",
        "Semantic",
        "two unseen objects, one of them named",
        objects=names.UNSEEN_OBJECTS,
        placements=triples_with_far_objects,
        extra="second object",
    ),
    Setting(
        "two_receptacles_seen",
        "Semantic",
        "the training receptacle, named, and an unseen one; any of 21 tables",
        tables=range(names.NUM_TABLES),
        placements=triples_with_far_receptacles,
        extra="second receptacle",
    ),
    Setting(
        "two_receptacles_unseen",
        "Semantic",
        "two unseen receptacles, one of them named; any of 21 tables",
        receptacles=names.UNSEEN_RECEPTACLES,
        tables=range(names.NUM_TABLES),
        placements=triples_with_far_receptacles,
        extra="second receptacle",
    ),
    Setting(
        "unseen_position",
        "Execution",
        "628 placements on the ring around the training grid, 4 unseen yaws",
        placements=ring_pairs,
        yaws=UNSEEN_YAWS,
    ),
    Setting("unseen_robot_pose", "Execution", "14,375 offsets of the robot's start pose", extra="joint offset"),
    Setting(
        "object_moved",
        "Execution",
        "the object jumps to another place after 5 steps",
        placements=triples_with_far_objects,
        moves_object=True,
    ),
]

SETTINGS = {setting.name: setting for setting in _ALL}


def setting_named(name: str) -> Setting:
    """A setting of the suite.

    Raises:
        ValueError: for an unknown name, with the known ones.
    """
    if name not in SETTINGS:
        raise ValueError(f"unknown put-on setting '{name}'; known: {', '.join(SETTINGS)}")
    return SETTINGS[name]
