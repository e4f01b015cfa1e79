"""What the libraries of benchmarks/end_to_end.py have in common: one iteration's size, and the tabletop with tokens.

All sample the same tokens, one of 256 for each of the seven numbers of an action, from the same network with the same
inputs; what a library does with them is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from feat2go.core.action_bins import from_bins
from feat2go.core.seeding import rollout_seeds
from feat2go.core.types import Observation
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA


@dataclass(frozen=True)
class Workload:
    """One PPO iteration, the same for every library.

    Attributes:
        env, network: settings of ``Tabletop`` and ``TinyVLA``.
        num_steps: T, actions per environment.
        num_epochs: passes over the rollout.
        num_minibatches: optimiser steps per pass.
        gamma, lam, clip, lr, value_coef, entropy_coef, max_grad_norm: of PPO and Adam.
    """

    env: dict[str, Any]
    network: dict[str, Any]
    num_steps: int
    num_epochs: int
    num_minibatches: int
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2
    lr: float = 5e-4
    value_coef: float = 1.0
    entropy_coef: float = 0.01
    max_grad_norm: float = 1.0

    @property
    def num_rows(self) -> int:
        """Actions of one iteration."""
        return int(self.num_steps * self.env["num_envs"])

    @property
    def batch_size(self) -> int:
        return self.num_rows // self.num_minibatches


class TokenTabletop:
    """The tabletop with tokens for actions and the network's inputs for observations; 1 is the reward of a success.

    Attributes:
        inputs: what the policy sees now, of N environments.
    """

    def __init__(self, work: Workload) -> None:
        self.env = Tabletop(**work.env)
        self._network = TinyVLA(**work.network)
        self._seeds = rollout_seeds(0, 0, 1)
        self.inputs = self._inputs(self.env.reset([next(self._seeds) for _ in range(self.env.num_envs)]))
        self._next_seeds = [next(self._seeds) for _ in range(self.env.num_envs)]

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Reward float32 (N,), terminated and truncated bool (N,), who ended (E,) and what they saw last."""
        step = self.env.step(from_bins(tokens)[:, None], self._next_seeds)
        for row in step.final_index.tolist():
            self._next_seeds[row] = next(self._seeds)
        self.inputs = self._inputs(step.observation)
        final = self._inputs(step.final_observation) if len(step.final_index) else {}
        terminated, truncated = step.terminated[:, 0], step.truncated[:, 0]
        return step.success[:, 0].float(), terminated, truncated, step.final_index, final

    def _inputs(self, seen: Observation) -> dict[str, Tensor]:
        return self._network.preprocess(seen.images, seen.instruction, seen.state)
