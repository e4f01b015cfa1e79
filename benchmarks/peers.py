"""The tabletop and the network of tiny_vla as Stable-Baselines3 and TorchRL want them, for benchmarks/end_to_end.py.

All sample the same tokens, one of 256 for each of the seven numbers of an action, from the same network with the same
inputs; what a library does with them is its own: Stable-Baselines3's ``MultiDiscrete`` actions, rollout buffer and
update, TorchRL's collector, GAE and clipped loss.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from feat2go.core.action_bins import NUM_BINS, from_bins
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


class TabletopVecEnv(VecEnv):
    """For Stable-Baselines3."""

    def __init__(self, work: Workload) -> None:
        self._env = TokenTabletop(work)
        seen = {name: _box(value) for name, value in self._env.inputs.items()}
        super().__init__(work.env["num_envs"], spaces.Dict(seen), spaces.MultiDiscrete([NUM_BINS] * 7))

    def reset(self) -> dict[str, np.ndarray]:
        return _arrays(self._env.inputs)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:
        reward, terminated, truncated, ended, final = self._env.step(torch.from_numpy(self._actions))
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = _arrays(final)
        for k, row in enumerate(ended.tolist()):
            infos[row] = {
                "terminal_observation": {name: value[k] for name, value in last.items()},
                "TimeLimit.truncated": bool(truncated[row]),
            }
        return _arrays(self._env.inputs), reward.numpy(), (terminated | truncated).numpy(), infos

    def close(self) -> None:
        self._env.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **options: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class SharedPolicy(ActorCriticPolicy):
    """The network in place of Stable-Baselines3's own; its distribution of several categories stays."""

    def __init__(self, *spaces_and_schedule: Any, network: dict[str, Any], **options: Any) -> None:
        self._settings = network
        super().__init__(*spaces_and_schedule, **options)

    def _build(self, lr_schedule: Any) -> None:
        self.network = TinyVLA(**self._settings)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr_schedule(1))

    def forward(self, obs: dict[str, Tensor], deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        distribution, value = self._evaluated(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, value, distribution.log_prob(actions)

    def evaluate_actions(self, obs: dict[str, Tensor], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distribution, value = self._evaluated(obs)
        return value, distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: dict[str, Tensor]) -> Tensor:
        return self.network(**obs)[1][:, None]

    def _evaluated(self, obs: dict[str, Tensor]) -> tuple[Any, Tensor]:
        logits, value = self.network(**obs)
        return self.action_dist.proba_distribution(action_logits=logits.flatten(1)), value[:, None]


class StableBaselines3:
    """Its PPO, rollout buffer and update."""

    def __init__(self, work: Workload) -> None:
        torch.manual_seed(0)
        self._work = work
        self.model = PPO(
            SharedPolicy,
            TabletopVecEnv(work),
            learning_rate=work.lr,
            n_steps=work.num_steps,
            batch_size=work.batch_size,
            n_epochs=work.num_epochs,
            gamma=work.gamma,
            gae_lambda=work.lam,
            clip_range=work.clip,
            ent_coef=work.entropy_coef,
            vf_coef=work.value_coef,
            max_grad_norm=work.max_grad_norm,
            policy_kwargs={"network": work.network},
            device="cpu",
        )

    def run(self, num_iterations: int) -> float:
        """Seconds of so many iterations."""
        start = time.perf_counter()
        num_actions = num_iterations * self._work.num_rows
        self.model.learn(num_actions, log_interval=None, reset_num_timesteps=False)
        return time.perf_counter() - start

    def close(self) -> None:
        self.model.env.close()


class TabletopTorchRL(EnvBase):
    """For TorchRL: a batched environment. What an episode begins with is there when the one before has ended."""

    def __init__(self, work: Workload) -> None:
        self._env = TokenTabletop(work)
        batch = (work.env["num_envs"],)
        super().__init__(device="cpu", batch_size=batch)
        seen = {name: Unbounded(value.shape, dtype=value.dtype) for name, value in self._env.inputs.items()}
        self.observation_spec = Composite(seen, shape=batch)
        self.action_spec = Bounded(0, NUM_BINS - 1, (*batch, 7), dtype=torch.int64)
        self.reward_spec = Unbounded((*batch, 1))
        flag = Bounded(0, 1, (*batch, 1), dtype=torch.bool)
        ends = {name: flag.clone() for name in ("done", "terminated", "truncated")}
        self.full_done_spec = Composite(ends, shape=batch)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDict:
        return TensorDict(self._env.inputs, self.batch_size)

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        reward, terminated, truncated, ended, final = self._env.step(tensordict["action"])
        seen = self._env.inputs
        if final:
            seen = {name: value.index_copy(0, ended, final[name]) for name, value in seen.items()}
        flags = {"terminated": terminated, "truncated": truncated, "done": terminated | truncated}
        columns = {name: flag[:, None] for name, flag in flags.items()}
        return TensorDict({**seen, **columns, "reward": reward[:, None]}, self.batch_size)

    def _set_seed(self, seed: int | None) -> None:
        """Its seeds are those of rollouts."""


class TokenDistribution(torch.distributions.Independent):
    """Seven categories, of logits (B, 7, 256)."""

    def __init__(self, logits: Tensor) -> None:
        categories = torch.distributions.Categorical(logits=logits, validate_args=False)
        super().__init__(categories, 1, validate_args=False)


class WithValueColumn(nn.Module):
    """The network, with values (B, 1) as TorchRL has them."""

    def __init__(self, network: TinyVLA) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        logits, value = self.network(pixels=pixels, words=words, state=state)
        return logits, value[:, None]


class TorchRL:
    """Its collector, GAE and clipped loss, the network called once for both heads, and values of the rollout reused."""

    INPUTS = ("pixels", "words", "state")

    def __init__(self, work: Workload) -> None:
        torch.manual_seed(0)
        self._work = work
        self._network = TensorDictModule(
            WithValueColumn(TinyVLA(**work.network)), in_keys=list(self.INPUTS), out_keys=["logits", "state_value"]
        )
        sampler = ProbabilisticTensorDictModule(
            in_keys=["logits"], out_keys=["action"], distribution_class=TokenDistribution, return_log_prob=True
        )
        actor = ProbabilisticTensorDictSequential(self._network, sampler)
        # The actor's pass has left the value already.
        critic = TensorDictModule(nn.Identity(), in_keys=["state_value"], out_keys=["state_value"])
        self._loss = ClipPPOLoss(
            actor,
            critic,
            clip_epsilon=work.clip,
            entropy_coeff=work.entropy_coef,
            critic_coeff=work.value_coef,
            normalize_advantage=True,
            log_explained_variance=False,
            functional=False,
        )
        self._gae = GAE(gamma=work.gamma, lmbda=work.lam, value_network=None)
        self._parameters = list(self._network.parameters())
        self._optimizer = torch.optim.Adam(self._parameters, lr=work.lr)
        self._collector = Collector(
            TabletopTorchRL(work), actor, frames_per_batch=work.num_rows, total_frames=-1, track_traj_ids=False
        )
        self._rollouts = iter(self._collector)

    def run(self, num_iterations: int) -> float:
        """Seconds of so many iterations."""
        start = time.perf_counter()
        for _ in range(num_iterations):
            self._update(next(self._rollouts))
        return time.perf_counter() - start

    def close(self) -> None:
        self._collector.shutdown()

    def _update(self, data: TensorDictBase) -> None:
        """On a rollout (N, T)."""
        self._estimate(data)
        used = (*self.INPUTS, "action", "action_log_prob", "advantage", "value_target")
        rows = data.select(*used).reshape(-1)
        for _ in range(self._work.num_epochs):
            for index in torch.randperm(len(rows)).split(self._work.batch_size):
                parts = self._loss(rows[index])
                loss = parts["loss_objective"] + parts["loss_critic"] + parts["loss_entropy"]
                loss.backward()
                nn.utils.clip_grad_norm_(self._parameters, self._work.max_grad_norm)
                self._optimizer.step()
                self._optimizer.zero_grad()

    @torch.no_grad()
    def _estimate(self, data: TensorDictBase) -> None:
        """Advantages. What follows an action is what is seen next, but at the end of an episode or of the rollout."""
        value = data["state_value"]
        next_value = torch.cat([value[:, 1:], torch.zeros_like(value[:, :1])], dim=1)
        is_last = data["next", "done"][..., 0].clone()
        is_last[:, -1] = True
        next_value[is_last] = self._network(data["next"].select(*self.INPUTS)[is_last])["state_value"]
        data["next", "state_value"] = next_value
        self._gae(data)


def _box(value: Tensor) -> spaces.Box:
    low, high = (0, 255) if value.dtype == torch.uint8 else (-np.inf, np.inf)
    return spaces.Box(low, high, tuple(value.shape[1:]), dtype=value.numpy().dtype.type)


def _arrays(inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in inputs.items()}
