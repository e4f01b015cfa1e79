"""A policy in its environments, for a fixed number of decisions."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from feat2go.core.protocols import Policy, VectorEnv
from feat2go.core.types import Observation, PolicyOutput, Rollout, Step
from feat2go.rollouts.experience import act, stack, with_critic


class Collector:
    """Collects rollouts of T decisions from N environments; episodes run on from one rollout to the next.

    Args:
        env: N environments; it belongs to the collector from here on.
        num_steps: T.
        seeds: endless episode seeds, no two alike.

    Attributes:
        num_env_steps: actions carried out so far.
        num_seeds: seeds drawn so far.
    """

    def __init__(self, env: VectorEnv, num_steps: int, seeds: Iterator[int]) -> None:
        if num_steps < 1:
            raise ValueError(f"num_steps is at least 1; got {num_steps}")
        self.env = env
        self.num_steps = num_steps
        self.num_env_steps = 0
        self.num_seeds = 0
        self._seeds = seeds
        self._next_seeds: list[int] = []
        self._observation: Observation | None = None

    def collect(
        self, policy: Policy, temperature: float, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> Rollout:
        """One rollout, with rewards of zero. Call it in eval mode, without gradients."""
        if self._observation is None:
            self._observation = self.env.reset([self._draw_seed() for _ in range(self.env.num_envs)])
            self._next_seeds = [self._draw_seed() for _ in range(self.env.num_envs)]
        observations: list[Observation] = []
        outputs: list[PolicyOutput] = []
        steps: list[Step] = []
        for _ in range(self.num_steps):
            observations.append(self._observation)
            outputs.append(act(policy, self._observation, temperature, generator, device))
            step = self.env.step(outputs[-1].actions, self._next_seeds)
            for ended in step.final_index.tolist():
                self._next_seeds[ended] = self._draw_seed()
            steps.append(step)
            self._observation = step.observation
        rollout = stack(observations, outputs, steps)
        self.num_env_steps += int(rollout.valid.sum())
        return with_critic(rollout, policy, device)

    def _draw_seed(self) -> int:
        self.num_seeds += 1
        return next(self._seeds)
