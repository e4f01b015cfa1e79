"""A scripted expert: a plan for an arm, played one action at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Action, Arm, Motion

# Takes the task's arms and yields one action for all of them. Plans never end: what is lost is picked up again, what is
# done is held.
Plan = Callable[..., Motion]


class Expert:
    """Plays a plan. Closed loop: every action looks at the scene as it is, whoever acted before.

    Args:
        plan: of the task.
        arms: play it; one, or as many as the task has robots.
        max_detours: random places that the only arm visits before, at most.
    """

    def __init__(self, plan: Plan, arms: Sequence[Arm], max_detours: int = 0) -> None:
        if max_detours and len(arms) > 1:
            raise ValueError("expert_detours is for tasks with one arm; leave it 0")
        self._plan = plan
        self._arms = arms
        self._max_detours = max_detours
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin anew; noise, tempo and detours follow from the seed."""
        for number, arm in enumerate(self._arms):
            arm.reseed(seed + number)
        self._motion = self._plan(*self._arms)
        if self._max_detours:
            self._motion = itertools.chain(self._arms[0].wander(self._max_detours), self._motion)
        self._elapsed = -1
        self._action: Action = np.tile(np.array([0, 0, 0, 0, 0, 0, OPEN], np.float32), len(self._arms))

    def action(self, elapsed: int) -> Action:
        """float32 (7,) for each arm: the action after ``elapsed`` steps. Asking twice gives the same answer."""
        if elapsed != self._elapsed:
            self._elapsed = elapsed
            self._action = next(self._motion)
        return self._action
