"""The LightningDataModule whose training data is what the policy does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from feat2go.core.distributed import gather, global_sum
from feat2go.core.protocols import OnPolicyAlgorithm, ValuePredictor
from feat2go.core.seeding import episode_seed, generator, rollout_seeds
from feat2go.core.slots import RewardShaper, VectorEnv
from feat2go.core.types import EvaluationRow, PolicyBatch, Rollout
from feat2go.rollouts.acting import acting
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.evaluation import evaluate
from feat2go.rollouts.experience import NotFiniteObservationError
from feat2go.rollouts.group_collector import GroupCollector
from feat2go.rollouts.loader import RolloutLoader
from feat2go.rollouts.padding import padded
from feat2go.rollouts.relabel import outcome_metrics, relabel, terminal_values
from feat2go.rollouts.turns import EnvsInTurn
from feat2go.training.finite import not_finite, stop_if_any
from feat2go.training.strategies import unsharded
from feat2go.values.frozen import FrozenValue

log = logging.getLogger(__name__)


class RolloutDataModule(LightningDataModule):
    """Rollouts for training, fixed development and evaluation episodes for validation and test.

    One epoch of the Trainer is one rollout: of ``num_steps`` decisions in every environment, whose episodes run on from
    one rollout to the next, or of ``num_episodes`` whole episodes.

    With P processes, each has environments and episodes of its own, as many as the config says, and cuts what it
    collects into as many minibatches: together they learn from P times as much, in updates of P times as many
    decisions. Evaluation episodes are shared out among them.

    Args:
        env: makes the environments of one process; once for training, once more for validation.
        reward: what an episode's outcome is worth.
        value_model: folder of a frozen value model; required where ``reward`` needs it, else only logged.
        num_steps: decisions per environment and rollout.
        num_episodes: whole episodes per rollout and process, in place of ``num_steps``; a multiple of the environments.
        group_size: how many of them begin in the same state; more than 1 for GRPO and REINFORCE.
        double_buffered: make the environment twice for training, and let one step while the policy acts in the other.
            So that as many run as before, halve ``num_envs``, and ``num_workers`` where there is one. Only with
            ``num_steps``.
        num_epochs: passes over a rollout.
        num_minibatches: optimiser steps per pass.
        num_eval_episodes: episodes of one validation or test, of all processes together.
        eval_temperature: of the policy in validation and test; 0 is greedy.
        seed: of the rollouts; different runs differ in it.
    """

    def __init__(
        self,
        env: Callable[[], VectorEnv],
        reward: RewardShaper,
        num_steps: int | None = None,
        value_model: str | None = None,
        num_epochs: int = 1,
        num_minibatches: int = 4,
        num_eval_episodes: int = 64,
        eval_temperature: float = 0.0,
        seed: int = 0,
        num_episodes: int | None = None,
        group_size: int = 1,
        double_buffered: bool = False,
    ) -> None:
        super().__init__()
        if (num_steps is None) == (num_episodes is None):
            raise ValueError(
                "give either data.num_steps, decisions per environment, or data.num_episodes, whole episodes; "
                f"got {num_steps} and {num_episodes}"
            )
        if group_size != 1 and num_episodes is None:
            raise ValueError(
                f"data.group_size {group_size} needs whole episodes: give data.num_episodes, not num_steps"
            )
        if double_buffered and num_steps is None:
            raise ValueError("data.double_buffered needs data.num_steps, decisions per environment, not num_episodes")
        if reward.needs_value and value_model is None:
            raise ValueError(
                f"the reward {type(reward).__name__} needs a value model: set data.value_model to the folder "
                "`value/` of a run of `feat2go fit --config configs/value_*.yaml`"
            )
        self.rollout_metrics: dict[str, float] = {}
        self._make_env = env
        self._reward = reward
        self._value_model = value_model
        self._num_steps = num_steps
        self._num_episodes = num_episodes
        self._group_size = group_size
        self._double_buffered = double_buffered
        self._num_epochs = num_epochs
        self._num_minibatches = num_minibatches
        self._num_eval_episodes = num_eval_episodes
        self._eval_temperature = eval_temperature
        self._seed = seed
        self._predictor: ValuePredictor | None = None
        self._collector: Collector | GroupCollector | None = None
        self._restored: dict[str, Any] = {}
        self._eval_env: VectorEnv | None = None
        self._shuffle = torch.Generator()

    def setup(self, stage: str) -> None:
        if self._value_model is not None and self._predictor is None:
            device = self.trainer.strategy.root_device if self.trainer else "cpu"
            self._predictor = FrozenValue.load(self._value_model, device)

    def train_dataloader(self) -> RolloutLoader:
        if self._collector is None:
            self._collector = self._make_collector(self._make_training_env())
            _require_fit(self.trainer.lightning_module.policy, self._collector.env)  # type: ignore[union-attr]
        return RolloutLoader(self._collect, self._num_epochs, self._num_minibatches, self._shuffle)

    def val_dataloader(self) -> SeedLoader:
        return self._episodes("development")

    def test_dataloader(self) -> SeedLoader:
        return self._episodes("evaluation")

    def predict_dataloader(self) -> SeedLoader:
        return self._episodes("evaluation")

    def evaluate(self, policy: Any, seeds: Sequence[int], setting: str) -> list[EvaluationRow]:
        """Run each seed once in the evaluation environments; one row per episode."""
        if self._eval_env is None:
            self._eval_env = self._make_env()
        trainer: Any = self.trainer
        noise = generator(self._seed, self._world()[0], setting, trainer.current_epoch)
        with unsharded(policy):
            return evaluate(
                self._eval_env,
                policy,
                list(seeds),
                temperature=self._eval_temperature,
                predictor=self._predictor,
                setting=setting,
                generator=noise,
            )

    def state_dict(self) -> dict[str, Any]:
        """Where every process is: its seeds, its counts and its running episodes. All processes must call."""
        if self._collector is None:
            return self._restored
        env = self._collector.env
        processes = gather(self._collector.state_dict())
        return {"env_id": env.env_id, "num_envs": env.num_envs, "processes": processes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict

    def on_exception(self, exception: BaseException) -> None:
        """Lightning does not tear down after an error; the environments' processes would stay."""
        self.teardown("fit")

    def teardown(self, stage: str) -> None:
        for env in (self._collector.env if self._collector else None, self._eval_env):
            if env is not None:
                env.close()
        self._collector = self._eval_env = None

    def _make_training_env(self) -> VectorEnv | EnvsInTurn:
        if not self._double_buffered:
            return self._make_env()
        return EnvsInTurn([self._make_env(), self._make_env()])

    def _make_collector(self, env: VectorEnv | EnvsInTurn) -> Collector | GroupCollector:
        """A new one, or the restored one."""
        rank, world_size = self._world()
        state = self._restored_state(env, rank, world_size)
        seeds = rollout_seeds(self._seed, rank, world_size, state["num_seeds"] if state else 0)
        collector: Collector | GroupCollector
        if self._num_episodes is not None:
            assert not isinstance(env, EnvsInTurn)
            collector = GroupCollector(env, self._num_episodes, self._group_size, seeds)
        else:
            assert self._num_steps is not None
            collector = Collector(env, self._num_steps, seeds)
        if state:
            collector.load_state_dict(state)
        return collector

    def _restored_state(self, env: VectorEnv | EnvsInTurn, rank: int, world_size: int) -> dict[str, Any]:
        if not self._restored:
            return {}
        env_id, num_envs, processes = (self._restored[name] for name in ("env_id", "num_envs", "processes"))
        if env.env_id != env_id:
            raise ValueError(
                f"the checkpoint of --ckpt_path is of another config: its environment is {env_id}, not {env.env_id}"
            )
        if (len(processes), num_envs) == (world_size, env.num_envs):
            state: dict[str, Any] = processes[rank]
            return state
        log.warning(
            "the checkpoint is of %d processes with %d environments each, this run of %d with %d: the episodes that "
            "were under way are given up, and new ones start",
            *(len(processes), num_envs, world_size, env.num_envs),
        )
        return _shared_out_anew(processes, rank, world_size)

    def _collect(self) -> PolicyBatch:
        trainer: Any = self.trainer
        module = trainer.lightning_module
        algorithm: OnPolicyAlgorithm = module.algorithm
        assert self._collector is not None
        start = time.perf_counter()
        steps_before = self._collector.num_env_steps
        rank, epoch = self._world()[0], trainer.current_epoch
        noise = generator(self._seed, rank, "rollout", epoch)
        self._shuffle.manual_seed(generator(self._seed, rank, "shuffle", epoch).initial_seed())
        # Under the plugin's context, so that rollout and update compute in the same precision.
        with unsharded(module.policy), acting(module), trainer.precision_plugin.forward_context():
            rollout = self._collected(module.policy, algorithm.temperature, noise, module.device)
        collected = time.perf_counter()
        values = terminal_values(rollout, self._predictor)
        # Without a value model they are NaN, and go nowhere.
        found = [] if self._predictor is None or values.isfinite().all() else ["the terminal values"]
        stop_if_any(trainer, found, rollout, "the terminal values")
        rollout = relabel(rollout, self._reward, values, self._predictor)
        relabelled = time.perf_counter()
        stop_if_any(trainer, not_finite(rollout), rollout, "the rollout")
        num_steps = self._collector.num_env_steps
        local = [num_steps, num_steps - steps_before, collected - start, relabelled - collected]
        num_all, num_new, acting_s, reward_s = global_sum(torch.tensor(local, dtype=torch.float64)).tolist()
        self.rollout_metrics = {
            **outcome_metrics(rollout, values),
            "env_steps": num_all,
            "env_steps_per_s": num_new / (acting_s / self._world()[1]),
            "reward_share_of_time": reward_s / (acting_s + reward_s),
        }
        batch = algorithm.prepare(rollout)
        if int(global_sum(torch.tensor(len(batch)))) < self._num_minibatches:
            # Too few even together: the loader says so, in every process.
            return batch
        return padded(batch, rollout, self._num_minibatches)

    def _collected(self, policy: Any, temperature: float, noise: torch.Generator, device: torch.device) -> Rollout:
        """A new rollout, unless one of the processes can't go on."""
        assert self._collector is not None
        try:
            rollout = self._collector.collect(policy, temperature, noise, device)
        except NotFiniteObservationError as error:
            stop_if_any(self.trainer, ["observation.state"], error.observation, "")
            raise
        stop_if_any(self.trainer, [], rollout, "the observations")
        return rollout

    def _episodes(self, split: str) -> SeedLoader:
        rank, world_size = self._world()
        return SeedLoader([episode_seed(split, i) for i in range(rank, self._num_eval_episodes, world_size)])

    def _world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _shared_out_anew(processes: list[dict[str, Any]], rank: int, world_size: int) -> dict[str, Any]:
    """The state of one of another number of processes: all steps count, and no episode is played again."""
    num_seeds = max(state["num_seeds"] for state in processes) * len(processes)
    num_env_steps = sum(state["num_env_steps"] for state in processes)
    return {"num_env_steps": num_env_steps if rank == 0 else 0, "num_seeds": -(-num_seeds // world_size)}


class SeedLoader:
    """One batch: all evaluation seeds of this rank. No sampler can repeat one to make ranks even."""

    def __init__(self, seeds: list[int]) -> None:
        self.seeds = seeds

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[list[int]]:
        yield self.seeds


def _require_fit(policy: Any, env: VectorEnv | EnvsInTurn) -> None:
    if policy.action_dim != env.action_dim:
        raise ValueError(
            f"the policy has action_dim {policy.action_dim}, the environment {env.env_id} has {env.action_dim}: "
            "set model.policy.init_args.action_dim"
        )
