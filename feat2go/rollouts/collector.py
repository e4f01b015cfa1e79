"""A policy in its environments, for a fixed number of decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from feat2go.core.protocols import Policy, VectorEnv
from feat2go.core.types import Observation, PolicyOutput, Rollout, Step
from feat2go.rollouts.experience import act, stack, with_critic
from feat2go.rollouts.running import RunningEpisodes


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
        self._running: RunningEpisodes | None = None

    def collect(
        self, policy: Policy, temperature: float, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> Rollout:
        """One rollout, with rewards of zero. Call it in eval mode, without gradients."""
        if self._observation is None or self._running is None:
            self._observation, self._running = self._begin()
        observations: list[Observation] = []
        outputs: list[PolicyOutput] = []
        steps: list[Step] = []
        for _ in range(self.num_steps):
            observations.append(self._observation)
            outputs.append(act(policy, self._observation, temperature, generator, device))
            step = self.env.step(outputs[-1].actions, self._next_seeds)
            self._follow(self._running, outputs[-1], step)
            steps.append(step)
            self._observation = step.observation
        rollout = stack(observations, outputs, steps)
        self.num_env_steps += int(rollout.valid.sum())
        return with_critic(rollout, policy, device)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain numbers from which :meth:`load_state_dict` goes on to the bit."""
        state: dict[str, Any] = {"num_env_steps": self.num_env_steps, "num_seeds": self.num_seeds}
        if self._running is not None:
            state["next_seeds"] = list(self._next_seeds)
            state |= {"seeds": list(self._running.seeds), "actions": self._running.actions()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Bring back the running episodes too, by repeating their actions."""
        self.num_env_steps, self.num_seeds = state["num_env_steps"], state["num_seeds"]
        if "seeds" in state:
            self._next_seeds = list(state["next_seeds"])
            self._observation = self.env.restore(state["seeds"], state["actions"])
            self._running = RunningEpisodes(state["seeds"], state["actions"])

    def _begin(self) -> tuple[Observation, RunningEpisodes]:
        seeds = [self._draw_seed() for _ in range(self.env.num_envs)]
        self._next_seeds = [self._draw_seed() for _ in range(self.env.num_envs)]
        return self.env.reset(seeds), RunningEpisodes(seeds, [torch.zeros(0, self.env.action_dim)] * len(seeds))

    def _follow(self, running: RunningEpisodes, output: PolicyOutput, step: Step) -> None:
        """Some episodes ended and gave way to the next seed, some were lost and start again."""
        lost = (~step.valid.any(-1)).nonzero()[:, 0]
        ended = step.final_index.tolist()
        seeds = [self._next_seeds[env] for env in ended] + [running.seeds[env] for env in lost.tolist()]
        running.advance(output.actions, torch.cat([step.final_index, lost]), seeds)
        for env in ended:
            self._next_seeds[env] = self._draw_seed()

    def _draw_seed(self) -> int:
        self.num_seeds += 1
        return next(self._seeds)
