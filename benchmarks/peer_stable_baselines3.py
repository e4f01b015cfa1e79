"""PPO of Stable-Baselines3 on the tabletop, for benchmarks/end_to_end.py: its rollout buffer, categories and update."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from peers import TokenTabletop, Workload
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from feat2go.core.action_bins import NUM_BINS
from feat2go.policies import TinyVLA


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
    """Whole iterations."""

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


def _box(value: Tensor) -> spaces.Box:
    low, high = (0, 255) if value.dtype == torch.uint8 else (-np.inf, np.inf)
    return spaces.Box(low, high, tuple(value.shape[1:]), dtype=value.numpy().dtype.type)


def _arrays(inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in inputs.items()}
