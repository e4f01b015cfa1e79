"""Environments that take turns: one steps while the policy acts in another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from feat2go.core.protocols import VectorEnv
from feat2go.core.types import Observation, PolicyOutput, Step
from feat2go.rollouts.running import RunningEpisodes


class EnvsInTurn:
    """Several environments of one kind, of which one steps while the policy acts in another.

    With two, sampling is double-buffered (Sample Factory, Petrenko et al. 2020, arXiv 2006.11751, section 3.1): one
    steps while the policy acts in the other. What is gained is the time in which a simulation in other processes, on a
    GPU or in compiled code would leave the policy idle. Rows are those of the first environment, then the second's.

    An environment with ``begin_step``, which takes what ``step`` takes and returns what waits for its end, has workers
    of its own: it is asked from this thread. Any other steps in a thread of its own.

    Args:
        envs: two or more; they belong to this object from here on.

    Attributes:
        envs: the environments.
        num_envs: of all of them. env_id, action_dim: as in ``VectorEnv``.
    """

    def __init__(self, envs: Sequence[VectorEnv]) -> None:
        self.envs = list(envs)
        self.env_id = self.envs[0].env_id
        self.action_dim = self.envs[0].action_dim
        self.num_envs = sum(env.num_envs for env in self.envs)
        # One for each, so that whatever a simulator keeps for its thread stays with it.
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix="env") for _ in self.envs]

    def begin_step(self, index: int, actions: Tensor, next_seeds: Sequence[int]) -> Callable[[], Step]:
        """Start ``step`` in one of the environments; what is returned waits for its end, and raises its error."""
        env: Any = self.envs[index]
        if hasattr(env, "begin_step"):
            end_step: Callable[[], Step] = env.begin_step(actions, next_seeds)
            return end_step
        return self._threads[index].submit(env.step, actions, next_seeds).result

    def close(self) -> None:
        """Wait for the steps that have begun and free everything. May be called twice."""
        for thread in self._threads:
            thread.shutdown()
        for env in self.envs:
            env.close()


@contextmanager
def cores_left(num_stepping: int) -> Iterator[None]:
    """Leave a core to each environment that steps meanwhile.

    PyTorch's threads wait for one another actively: with as many of them as cores, they and the environments' processes
    keep each other from running. How many there are is a setting of the process, which comes back in the end.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(max(1, num_threads - num_stepping))
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


class Turn:
    """One environment, what it shows, and the episodes that run in it.

    Args:
        env: the environment.
        begin_step: starts a step and returns what waits for its end; None for one that is over before it returns.

    Attributes:
        num_envs: N.
        observation: what the policy sees next.
        running: the episodes.
        next_seeds: N, of the episodes that follow them.
        is_stepping: whether a step has begun that has not been waited for.
    """

    observation: Observation
    running: RunningEpisodes
    next_seeds: list[int]

    def __init__(
        self, env: VectorEnv, begin_step: Callable[[Tensor, Sequence[int]], Callable[[], Step]] | None = None
    ) -> None:
        self.num_envs = env.num_envs
        self.is_stepping = False
        self._env = env
        self._begin_step = begin_step or self._step_at_once
        self._wait: Callable[[], Step] = _never_begun
        self._actions = torch.empty(0)

    def begin(self, seeds: Sequence[int], next_seeds: Sequence[int]) -> None:
        """Start an episode everywhere."""
        self.next_seeds = list(next_seeds)
        self.observation = self._env.reset(list(seeds))
        self.running = RunningEpisodes(seeds, [torch.zeros(0, self._env.action_dim)] * len(seeds))

    def restore(self, seeds: Sequence[int], next_seeds: Sequence[int], actions: Sequence[Tensor]) -> None:
        """Bring back episodes that were under way."""
        self.next_seeds = list(next_seeds)
        self.observation = self._env.restore(list(seeds), list(actions))
        self.running = RunningEpisodes(seeds, actions)

    def begin_step(self, actions: Tensor) -> None:
        """Have (N, C, A) carried out."""
        self._actions = actions
        self._wait = self._begin_step(actions, self.next_seeds)
        self.is_stepping = True

    def end_step(self, draw_seed: Callable[[], int]) -> Step:
        """What came of it. Episodes that ended gave way to the next seed; some were lost and start again."""
        step = self._wait()
        self.is_stepping = False
        self.observation = step.observation
        acted = step.valid.any(-1)
        lost = [] if acted.all() else (~acted).nonzero()[:, 0].tolist()
        ended = step.final_index.tolist()
        seeds = [self.next_seeds[env] for env in ended] + [self.running.seeds[env] for env in lost]
        self.running.advance(self._actions, ended + lost, seeds)
        for env in ended:
            self.next_seeds[env] = draw_seed()
        return step

    def _step_at_once(self, actions: Tensor, next_seeds: Sequence[int]) -> Callable[[], Step]:
        step = self._env.step(actions, next_seeds)
        return lambda: step


def turns_of(env: VectorEnv | EnvsInTurn) -> list[Turn]:
    """One for each environment."""
    if not isinstance(env, EnvsInTurn):
        return [Turn(env)]
    return [Turn(one, _begin_step_of(env, index)) for index, one in enumerate(env.envs)]


def joined_output(parts: Sequence[PolicyOutput]) -> PolicyOutput:
    """What the policy did in all environments, at one time."""
    if len(parts) == 1:
        return parts[0]
    return PolicyOutput(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("actions", "tokens", "logprob", "value"))
    )


def joined_step(parts: Sequence[Step]) -> Step:
    """What all environments answered, at one time."""
    if len(parts) == 1:
        return parts[0]
    names = ("terminated", "truncated", "success", "valid", "milestone")
    rewards = [part.reward for part in parts if part.reward is not None]
    first_rows = itertools.accumulate((len(part.valid) for part in parts[:-1]), initial=0)
    return Step(
        observation=Observation.concat([part.observation for part in parts]),
        final_index=torch.cat([part.final_index + first for part, first in zip(parts, first_rows, strict=True)]),
        final_observation=Observation.concat([part.final_observation for part in parts]),
        reward=torch.cat(rewards) if rewards else None,
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in names},
    )


def _begin_step_of(env: EnvsInTurn, index: int) -> Callable[[Tensor, Sequence[int]], Callable[[], Step]]:
    return lambda actions, next_seeds: env.begin_step(index, actions, next_seeds)


def _never_begun() -> Step:
    raise RuntimeError("call begin_step before end_step")
