"""The gripper of a Panda, moved in straight lines by 7-d end-effector actions; knows the simulator's true poses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

OPEN, CLOSED = 1.0, -1.0

# What one unit of an action means; see ``control.Control``.
_METRES_PER_UNIT = 0.1
_RADIANS_PER_UNIT = 0.1

_DOWN = Rotation.from_rotvec([np.pi, 0, 0])
_YAW_TOLERANCE_RAD = 0.08
_TILT_TOLERANCE_RAD = 0.08
# Below this, the arm has not followed a command of a unit or so: no joint angles were found for it.
_STANDSTILL_M = 0.0005
_MAX_PAUSE_STEPS = 6
# Where detours lead: the part of the table that the tasks use.
_WANDER_BOX_M = ((-0.15, -0.2, 0.02), (0.3, 0.2, 0.15))

Position = np.ndarray
Action = np.ndarray
Motion = Iterator[Action]


class Arm:
    """One robot arm of one row.

    Motions are generators of actions, one per control step, that look at the scene anew before each. Each motion is one
    phase: at a tempo below 1 it draws its own speed and is preceded by a pause.

    Args:
        env: an unwrapped ManiSkill environment.
        row: which of its rows.
        noise: standard deviation of the noise on motions, in action units.
        tempo: lowest relative speed of a phase.
        number: which of several robots; None for the only one.
        turns: whether motions turn the gripper to the yaw that they are given; otherwise it keeps its own.

    Attributes:
        lean: rotation of the gripper about the world's x axis, in rad; 0 for upright.
        pitch: rotation of the gripper about the axis across its yaw, in rad; negative points it forward.
    """

    def __init__(
        self, env: Any, row: int, noise: float, tempo: float, number: int | None = None, turns: bool = True
    ) -> None:
        self.env = env
        self._number = number
        self.row = row
        self._noise = noise
        self._tempo = tempo
        self._turns = turns
        self.reseed(0)

    def reseed(self, seed: int) -> None:
        """Begin a new episode; noise, speeds and pauses follow from the seed."""
        self._random = np.random.default_rng(seed)
        self._speed = 1.0
        self._caution = 1.0
        self.lean = 0.0
        self.pitch = 0.0
        self._last_position = np.full(3, np.inf)

    @property
    def position(self) -> Position:
        """(3,): between the fingertips, in metres."""
        return self._pose(self._agent.tcp)[:3]

    @property
    def yaw(self) -> float:
        """Rotation of the gripper about the vertical, in radians. Its fingers lie across it."""
        # Of the axis that stays level whatever the pitch.
        across = self._turned.apply([0, 1, 0])
        return float(np.arctan2(-across[0], across[1]))

    @property
    def present_pitch(self) -> float:
        """What ``pitch`` is now, in radians."""
        upright = Rotation.from_euler("z", -self.yaw) * self._turned
        along = upright.apply([1, 0, 0])
        return float(np.arctan2(-along[2], along[0]))

    def position_of(self, actor: Any) -> Position:
        """(3,) in metres."""
        return self._pose(actor)[:3]

    def direction_of(self, actor: Any) -> Position:
        """(3,): where the x axis of a body points, of length 1."""
        direction: Position = _rotation(self._pose(actor)).apply([1, 0, 0])
        return direction

    def yaw_of(self, actor: Any) -> float:
        """Rotation of an upright body about the vertical, in radians."""
        return float(_rotation(self._pose(actor)).as_euler("zyx")[0])

    def is_grasping(self, actor: Any) -> bool:
        """Whether both fingers press on it."""
        return bool(self._agent.is_grasping(actor)[self.row])

    def command(self, target: Position, gripper: float, yaw: float | None = None, speed: float = 1.0) -> Action:
        """One step towards ``target``, upright, and towards ``yaw`` modulo 180 degrees."""
        move = (target - self.position) / _METRES_PER_UNIT
        turn = self._turn_to(yaw).as_rotvec() / _RADIANS_PER_UNIT
        self._take_care(float(np.abs(move).max()))
        move *= min(1.0, speed * self._speed * self._caution / max(np.abs(move).max(), 1e-9))
        turn *= min(1.0, self._speed * self._caution / max(float(np.linalg.norm(turn)), 1e-9))
        # Actions are in the axes of the robot's base, which may stand turned.
        to_base = _rotation(self._pose(self._agent.robot)).inv()
        motion = np.concatenate([to_base.apply(move), to_base.apply(turn)])
        motion += self._random.normal(0, self._noise, 6) if self._noise else 0
        return np.append(motion, gripper).clip(-1, 1).astype(np.float32)

    def move(
        self,
        target: Callable[[], Position],
        gripper: float,
        tolerance: float,
        yaw: Callable[[], float] | None = None,
        speed: float = 1.0,
        max_steps: int = 40,
    ) -> Motion:
        """Go there, until within ``tolerance`` metres or for ``max_steps`` at full tempo."""
        yield from self._begin_phase(gripper)
        for _ in range(round(max_steps / self._speed)):
            aim = yaw() if yaw and self._turns else None
            is_near = np.linalg.norm(target() - self.position) < tolerance
            if is_near and self._turn_to(aim).magnitude() < _YAW_TOLERANCE_RAD:
                return
            yield self.command(target(), gripper, aim, speed)

    def carry(
        self,
        actor: Any,
        target: Callable[[], Position],
        tolerance: float,
        speed: float = 1.0,
        max_steps: int = 40,
        tilt: Callable[[], float] | None = None,
        tilt_tolerance: float = _TILT_TOLERANCE_RAD,
    ) -> Motion:
        """Bring a grasped body to ``target``, until it is within ``tolerance`` metres or lost.

        ``tilt`` says by how many radians the body must still be pitched forward, to within ``tilt_tolerance``.
        """
        yield from self._begin_phase(CLOSED)
        for _ in range(round(max_steps / self._speed)):
            missing = target() - self.position_of(actor)
            missing_turn = tilt() if tilt else 0.0
            is_there = np.linalg.norm(missing) < tolerance and abs(missing_turn) < tilt_tolerance
            if is_there or not self.is_grasping(actor):
                return
            if tilt:
                self.pitch = self.present_pitch - missing_turn
            yield self.command(self.position + missing, CLOSED, speed=speed)

    def lift(self, actor: Any, height: float) -> Motion:
        """Raise a grasped body to about ``height``, straight up."""
        x, y, _ = self.position_of(actor)
        return self.carry(actor, lambda: np.array([x, y, height]), tolerance=0.02)

    def wander(self, max_places: int) -> Motion:
        """Visit up to ``max_places`` random places over the table."""
        num_places = int(self._random.integers(max_places + 1)) if max_places else 0
        for place in self._random.uniform(*_WANDER_BOX_M, size=(num_places, 3)):
            yield from self.move(lambda place=place: place, OPEN, tolerance=0.05, max_steps=8)  # type: ignore[misc]

    def hold(self, gripper: float, num_steps: int) -> Motion:
        """Stay, without noise, while the fingers open or close."""
        for _ in range(num_steps):
            yield np.array([0, 0, 0, 0, 0, 0, gripper], np.float32)

    def grasp(self, actor: Any) -> Motion:
        """Close the fingers until they press on the body, or give up."""
        yield from self.hold(CLOSED, 2)
        for _ in range(6):
            if self.is_grasping(actor):
                return
            yield from self.hold(CLOSED, 1)

    def _begin_phase(self, gripper: float) -> Motion:
        if self._tempo == 1:
            return
        self._speed = float(self._random.uniform(self._tempo, 1))
        longest = round(_MAX_PAUSE_STEPS * (1 - self._tempo))
        yield from self.hold(gripper, int(self._random.integers(longest + 1)))

    def _take_care(self, distance: float) -> None:
        """Near the end of its reach the arm stands still for a long step, but not for a shorter one."""
        stands_still = np.linalg.norm(self.position - self._last_position) < _STANDSTILL_M
        self._caution = max(0.1, self._caution / 2) if stands_still and distance > 0.1 else min(1.0, 2 * self._caution)
        self._last_position = self.position

    def _turn_to(self, yaw: float | None) -> Rotation:
        """The smallest rotation to this yaw modulo 180 degrees, ``lean`` and ``pitch``; None keeps the yaw."""
        present = _rotation(self._pose(self._agent.tcp))
        turn = 0.0 if yaw is None else (yaw - self.yaw + np.pi / 2) % np.pi - np.pi / 2
        upright = Rotation.from_euler("ZY", [self.yaw + turn, self.pitch]) * _DOWN
        return Rotation.from_euler("x", self.lean) * upright * present.inv()

    @property
    def _turned(self) -> Rotation:
        """From a gripper that looks down, without yaw, to this one, its lean left out."""
        present = _rotation(self._pose(self._agent.tcp))
        return Rotation.from_euler("x", -self.lean) * present * _DOWN.inv()

    @property
    def _agent(self) -> Any:
        """The robot; another object after a task built a new scene."""
        return self.env.agent if self._number is None else self.env.agent.agents[self._number]

    def _pose(self, body: Any) -> np.ndarray:
        pose: np.ndarray = body.pose.raw_pose[self.row].cpu().numpy()
        return pose.astype(np.float64)


def above(position: Position, height: float) -> Position:
    """``height`` metres above."""
    return np.array([position[0], position[1], position[2] + height])


def _rotation(pose: np.ndarray) -> Rotation:
    """Of a ManiSkill pose (x, y, z, then a quaternion with its real part first)."""
    return Rotation.from_quat(pose[[4, 5, 6, 3]])
