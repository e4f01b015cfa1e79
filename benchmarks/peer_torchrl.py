"""PPO of TorchRL on the tabletop, for benchmarks/end_to_end.py: its collector, GAE and clipped loss."""

from __future__ import annotations

import time
from typing import Any

import torch
from peers import TokenTabletop, Workload
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from feat2go.core.action_bins import NUM_BINS
from feat2go.policies import TinyVLA


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

    def close_tables(self) -> None:
        """End their processes, if they have any."""
        self._env.env.close()

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
        self._env = TabletopTorchRL(work)
        self._collector = Collector(
            self._env, actor, frames_per_batch=work.num_rows, total_frames=-1, track_traj_ids=False
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
        self._env.close_tables()

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
