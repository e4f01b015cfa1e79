"""A policy in its environments, for a fixed number of decisions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, TypeVar

import torch

from feat2go.core.protocols import Policy, VectorEnv
from feat2go.core.types import Observation, PolicyOutput, Rollout, Step
from feat2go.rollouts.experience import act, stack, with_critic
from feat2go.rollouts.turns import EnvsInTurn, Turn, cores_left, joined_output, joined_step, turns_of

Part = TypeVar("Part")


class Collector:
    """Collects rollouts of T decisions from N environments; episodes run on from one rollout to the next.

    Of environments that take turns, one steps while the policy acts in the next. What waits for what does not depend on
    how fast either is, so neither do the rollouts; and the same seeds are played in the same places as in one
    environment of as many rows.

    Args:
        env: N environments; it belongs to the collector from here on.
        num_steps: T.
        seeds: endless episode seeds, no two alike.

    Attributes:
        num_env_steps: actions carried out so far.
        num_seeds: seeds drawn so far.
    """

    def __init__(self, env: VectorEnv | EnvsInTurn, num_steps: int, seeds: Iterator[int]) -> None:
        if num_steps < 1:
            raise ValueError(f"num_steps is at least 1; got {num_steps}")
        self.env = env
        self.num_steps = num_steps
        self.num_env_steps = 0
        self.num_seeds = 0
        self._seeds = seeds
        self._turns = turns_of(env)
        self._has_begun = False

    def collect(
        self, policy: Policy, temperature: float, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> Rollout:
        """One rollout, with rewards of zero. Call it in eval mode, without gradients."""
        if not self._has_begun:
            self._begin()
        # T times what each of the environments that take turns gave.
        observations: list[Observation] = []
        outputs: list[PolicyOutput] = []
        steps: list[Step] = []
        with cores_left(len(self._turns) - 1):
            for turn in self._turns * self.num_steps:
                if turn.is_stepping:
                    steps.append(turn.end_step(self._draw_seed))
                observations.append(turn.observation)
                outputs.append(act(policy, turn.observation, temperature, generator, device))
                turn.begin_step(outputs[-1].actions)
            steps += [turn.end_step(self._draw_seed) for turn in self._turns]
        rollout = stack(
            observations,
            [joined_output(parts) for parts in self._by_decision(outputs)],
            [joined_step(parts) for parts in self._by_decision(steps)],
        )
        self.num_env_steps += int(rollout.valid.sum())
        return with_critic(rollout, policy, device)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers from which :meth:`load_state_dict` goes on to the bit."""
        state: dict[str, Any] = {"num_env_steps": self.num_env_steps, "num_seeds": self.num_seeds}
        if self._has_begun:
            state["next_seeds"] = [seed for turn in self._turns for seed in turn.next_seeds]
            state["seeds"] = [seed for turn in self._turns for seed in turn.running.seeds]
            state["actions"] = [actions for turn in self._turns for actions in turn.running.actions()]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Bring back the running episodes too, by repeating their actions."""
        self.num_env_steps, self.num_seeds = state["num_env_steps"], state["num_seeds"]
        if "seeds" in state:
            for turn, rows in self._rows():
                turn.restore(state["seeds"][rows], state["next_seeds"][rows], state["actions"][rows])
            self._has_begun = True

    def _begin(self) -> None:
        seeds = [self._draw_seed() for _ in range(self.env.num_envs)]
        next_seeds = [self._draw_seed() for _ in range(self.env.num_envs)]
        for turn, rows in self._rows():
            turn.begin(seeds[rows], next_seeds[rows])
        self._has_begun = True

    def _rows(self) -> list[tuple[Turn, slice]]:
        """Which of the N environments each has."""
        ends = itertools.accumulate(turn.num_envs for turn in self._turns)
        return [(turn, slice(end - turn.num_envs, end)) for turn, end in zip(self._turns, ends, strict=True)]

    def _by_decision(self, parts: list[Part]) -> list[list[Part]]:
        num_turns = len(self._turns)
        return [parts[first : first + num_turns] for first in range(0, len(parts), num_turns)]

    def _draw_seed(self) -> int:
        self.num_seeds += 1
        return next(self._seeds)
