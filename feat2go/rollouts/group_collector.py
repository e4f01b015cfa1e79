"""Whole episodes, in groups that begin in the same state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from feat2go.core.protocols import Policy, VectorEnv
from feat2go.core.types import Observation, PolicyOutput, Rollout, Step
from feat2go.rollouts.experience import act, stack, with_critic


class GroupCollector:
    """Collects rollouts of E whole episodes, G of which share a seed and so their first state.

    They are played in waves of N, one after the other along the rollout's time. An environment whose episode has ended
    idles until its wave is over; the policy is not asked for it.

    Args:
        env: N environments; it belongs to the collector from here on.
        num_episodes: E, a multiple of N and of G.
        group_size: G.
        seeds: endless episode seeds, no two alike; one for each group.

    Attributes:
        num_env_steps: actions carried out so far.
        num_seeds: seeds drawn so far.

    Raises:
        ValueError: if the episodes can't be shared out evenly.
    """

    def __init__(self, env: VectorEnv, num_episodes: int, group_size: int, seeds: Iterator[int]) -> None:
        if num_episodes < 1 or group_size < 1 or num_episodes % env.num_envs or num_episodes % group_size:
            raise ValueError(
                f"num_episodes must be a multiple of num_envs ({env.num_envs}) and of group_size ({group_size}); "
                f"got {num_episodes}"
            )
        self.env = env
        self.num_episodes = num_episodes
        self.group_size = group_size
        self.num_env_steps = 0
        self.num_seeds = 0
        self._seeds = seeds

    def collect(
        self, policy: Policy, temperature: float, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> Rollout:
        """One rollout, with rewards of zero; its groups are numbered from 0. Call it in eval mode, without gradients.

        T is as many decisions as the longest episodes of the waves have together.
        """
        group = torch.arange(self.num_episodes // self.group_size).repeat_interleave(self.group_size)
        seeds = torch.tensor([self._draw_seed() for _ in range(len(group) // self.group_size)])[group]
        observations: list[Observation] = []
        outputs: list[PolicyOutput] = []
        steps: list[Step] = []
        groups: list[Tensor] = []
        for first in range(0, self.num_episodes, self.env.num_envs):
            wave = slice(first, first + self.env.num_envs)
            observation = self.env.reset(seeds[wave].tolist())
            is_running = torch.ones(self.env.num_envs, dtype=torch.bool)
            while is_running.any():
                observations.append(observation)
                outputs.append(_act_where(is_running, policy, observation, temperature, generator, device))
                steps.append(self.env.step(outputs[-1].actions))
                groups.append(group[wave])
                is_running[steps[-1].final_index] = False
                observation = steps[-1].observation
        rollout = stack(observations, outputs, steps, torch.stack(groups))
        self.num_env_steps += int(rollout.valid.sum())
        return with_critic(rollout, policy, device)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers. No episode is under way between two rollouts."""
        return {"num_env_steps": self.num_env_steps, "num_seeds": self.num_seeds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.num_env_steps, self.num_seeds = state["num_env_steps"], state["num_seeds"]

    def _draw_seed(self) -> int:
        self.num_seeds += 1
        return next(self._seeds)


def _act_where(
    is_running: Tensor,
    policy: Policy,
    observation: Observation,
    temperature: float,
    generator: torch.Generator,
    device: torch.device | str,
) -> PolicyOutput:
    """What the policy does in the running environments; zeros elsewhere."""
    if is_running.all():
        return act(policy, observation, temperature, generator, device)
    output = act(policy, observation.select(is_running), temperature, generator, device)

    def spread(rows: Tensor) -> Tensor:
        everywhere = rows.new_zeros(len(is_running), *rows.shape[1:])
        everywhere[is_running] = rows
        return everywhere

    return PolicyOutput(spread(output.actions), spread(output.tokens), spread(output.logprob), spread(output.value))
