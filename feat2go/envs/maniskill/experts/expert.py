"""A scripted expert: a plan for an arm, played one action at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from feat2go.envs.maniskill.experts.arm import OPEN, Action, Arm, Motion

# Plans never end: what is lost is picked up again, what is done is held.
Plan = Callable[[Arm], Motion]


class Expert:
    """Plays a plan. Closed loop: every action looks at the scene as it is, whoever acted before.

    Args:
        plan: of the task.
        arm: plays it.
        max_detours: random places that it visits before, at most.
    """

    def __init__(self, plan: Plan, arm: Arm, max_detours: int = 0) -> None:
        self._plan = plan
        self._arm = arm
        self._max_detours = max_detours
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin anew; noise, tempo and detours follow from the seed."""
        self._arm.reseed(seed)
        self._motion = itertools.chain(self._arm.wander(self._max_detours), self._plan(self._arm))
        self._elapsed = -1
        self._action: Action = np.array([0, 0, 0, 0, 0, 0, OPEN], np.float32)

    def action(self, elapsed: int) -> Action:
        """float32 (7,): the action after ``elapsed`` steps. Asking twice gives the same answer."""
        if elapsed != self._elapsed:
            self._elapsed = elapsed
            self._action = next(self._motion)
        return self._action
