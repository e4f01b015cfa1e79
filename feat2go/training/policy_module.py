"""The LightningModule that trains policies."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from feat2go.core.distributed import global_sum
from feat2go.core.intervals import wilson
from feat2go.core.protocols import OnPolicyAlgorithm
from feat2go.core.slots import Algorithm, Policy
from feat2go.core.types import EvaluationRow, PolicyBatch
from feat2go.data.windows import DemonstrationBatch
from feat2go.policies.load import load_policy, require_learned, same_frozen, without_frozen
from feat2go.training.checkpoints import require_same_config
from feat2go.training.epoch_means import EpochMeans
from feat2go.training.finite import ClippedModule
from feat2go.training.strategies import full_state, shard


class PolicyModule(ClippedModule):
    """Trains a policy with an algorithm: thin glue between Lightning and ``algorithm.loss``.

    Args:
        policy: makes the policy; called when training starts, so that parsing a config stays cheap.
        algorithm: gives the loss; PPO on rollouts, BC on demonstrations.
        optimizer: makes the optimiser from parameters.
        lr_scheduler: optional, stepped once per epoch.
        initial_policy: folder of a saved policy to start from; its architecture must be ``policy``'s.
        max_ratio_error: how far from 1 the importance ratios right after a rollout may be, on average, before the run
            says so.
        critic_lr: learning rate of the policy's critic head; that of the optimiser by default.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        algorithm: Algorithm,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        initial_policy: str | None = None,
        max_ratio_error: float = 0.05,
        critic_lr: float | None = None,
    ) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.policy: Any = None
        self.reference: nn.Module | None = None
        self._make_policy = policy
        self._make_optimizer = optimizer
        self._make_scheduler = lr_scheduler
        self._initial_policy = initial_policy
        self._max_ratio_error = max_ratio_error
        self._critic_lr = critic_lr
        self._means, self._held_out_means = EpochMeans(), EpochMeans()
        self._update_start = 0.0
        self._num_samples = 0
        self._is_stopped = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the hook that it calls, 44 times in a step: without PyTorch's search for parameters."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def configure_model(self) -> None:
        """Build the policy, and a copy of its start where the algorithm compares with it."""
        if self.policy is not None:
            return
        self.policy = self._make_policy()
        self._require_logprob()
        # A base that stays as it is comes from where the config says: it is in no checkpoint.
        self.strict_loading = not getattr(self.policy, "restores_frozen", False)
        if self._initial_policy is not None:
            self._start_from(Path(self._initial_policy))
        if getattr(self.algorithm, "needs_reference", False):
            self.reference = copy.deepcopy(self.policy).requires_grad_(False).eval()
        if self.device_mesh is not None:
            for network in filter(None, (self.policy, self.reference)):
                shard(network, self.device_mesh)

    def _require_logprob(self) -> None:
        if isinstance(self.algorithm, OnPolicyAlgorithm) and not getattr(self.policy, "has_logprob", True):
            raise ValueError(
                f"{type(self.policy).__name__} gives no log-probs of its actions, which "
                f"{type(self.algorithm).__name__} needs: train it with `algorithm: bc`, or choose a policy with action "
                "tokens"
            )

    def _start_from(self, folder: Path) -> None:
        start = load_policy(folder)
        if type(start) is not type(self.policy):
            raise ValueError(f"initial_policy {folder} is a {type(start).__name__}, not a {type(self.policy).__name__}")
        self.strict_loading |= not same_frozen(self.policy, start)
        try:
            self.policy.load_state_dict(start.state_dict())
        except RuntimeError as error:
            raise ValueError(f"initial_policy {folder} does not fit the policy of this config: {error}") from error

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(self._parameter_groups())
        if self._make_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._make_scheduler(optimizer)}

    def _parameter_groups(self) -> list[Any]:
        learning = [(name, p) for name, p in self.policy.named_parameters() if p.requires_grad]
        if self._critic_lr is None:
            return [p for _, p in learning]
        critic = [p for name, p in learning if name.startswith("critic.")]
        if not critic:
            raise ValueError(f"critic_lr is set, but {type(self.policy).__name__} has no critic that learns")
        others = [p for name, p in learning if not name.startswith("critic.")]
        return [{"params": others}, {"params": critic, "lr": self._critic_lr}]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device) if isinstance(batch, (PolicyBatch, DemonstrationBatch)) else batch

    def on_train_epoch_start(self) -> None:
        self._is_stopped = False
        if hasattr(self.algorithm, "begin_iteration"):
            self.algorithm.begin_iteration(self.trainer.current_epoch)

    def training_step(self, batch: PolicyBatch | DemonstrationBatch, batch_index: int) -> Tensor:
        if batch_index == 0:
            self._update_start, self._num_samples = time.perf_counter(), 0
        rows = self._rows(batch)
        if self._is_stopped:
            return self._idle_step(rows)
        loss, metrics = self._loss(rows)
        if batch_index == 0:
            self._check_first_ratio(metrics)
        self._check_kl(metrics)
        self._num_samples += len(rows)
        num_rows = rows.mask.any(-1).sum()
        self._means.add(metrics, int(num_rows))
        self.note_loss(batch, loss)
        return loss if self.trainer.world_size == 1 else loss * self._share(num_rows)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """While the critic warms up, the rest of the policy has no gradients, so nothing moves it, decay included."""
        if not getattr(self.algorithm, "trains_critic_only", False):
            return
        others = [p for name, p in self.policy.named_parameters() if not name.startswith("critic.")]
        if len(others) == len(list(self.policy.parameters())):
            raise ValueError(f"critic_warmup needs a policy with a `critic`; {type(self.policy).__name__} has none")
        for parameter in others:
            parameter.grad = None

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Once the policy is too far from the one that acted, its updates are over until the next rollout."""
        if self._is_stopped and optimizer_closure is not None:
            optimizer_closure()
            return
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self._means.add({"grad_norm": self.grad_norm})

    def on_train_epoch_end(self) -> None:
        rollout = getattr(self._data(), "rollout_metrics", {})
        local = [self._num_samples, time.perf_counter() - self._update_start]
        num_samples, seconds = global_sum(torch.tensor(local, dtype=torch.float64)).tolist()
        speed = num_samples / (seconds / self.trainer.world_size)
        learned = {**self._means.compute(), "samples_per_s": speed}
        # The same in every process already: Lightning would exchange them one by one.
        self.log_dict(
            {**{f"rollout/{k}": v for k, v in rollout.items()}, **{f"train/{k}": v for k, v in learned.items()}}
        )
        if "success" in rollout:
            self.log("success", rollout["success"], prog_bar=True, logger=False)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        if isinstance(batch, DemonstrationBatch):
            rows = self._rows(batch)
            self._held_out_means.add(self._loss(rows)[1], int(rows.mask.sum()))
            return
        self._log_outcome("val", self._data().evaluate(self.policy, batch, "development"))

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{name}": mean for name, mean in self._held_out_means.compute().items()}, sync_dist=True)

    def test_step(self, batch: Any, batch_index: int) -> None:
        self._log_outcome("test", self._data().evaluate(self.policy, batch, "evaluation"))

    def predict_step(self, batch: Any, batch_index: int) -> list[EvaluationRow]:
        """One row per evaluation episode."""
        rows: list[EvaluationRow] = self._data().evaluate(self.policy, batch, "evaluation")
        return rows

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """So that the checkpoint says how to rebuild the policy, and holds what that does not bring back."""
        checkpoint["policy_config"] = self.policy.config
        if not self.strict_loading:
            checkpoint["state_dict"] = without_frozen(self.policy, checkpoint["state_dict"], "policy.")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Without strict loading, a part that is missing would go unnoticed."""
        self.require_fit(checkpoint)
        if not self.strict_loading and "state_dict" in checkpoint:
            require_learned(self.policy, checkpoint["state_dict"], "policy.")

    def require_fit(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another policy.

        Raises:
            ValueError: naming what differs.
        """
        require_same_config(checkpoint.get("policy_config"), self.policy.config)

    def on_fit_end(self) -> None:
        """Leave the policy as a folder that ``feat2go evaluate`` and ``initial_policy`` take."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        state = full_state(self.policy)
        if not self.trainer.is_global_zero:
            return
        policy: Any = self.policy
        if self.device_mesh is not None:
            # A sharded one holds a part of each tensor only.
            policy = self._make_policy()
            # In the precision that was trained in.
            policy.load_state_dict(state, assign=True)
        policy.save_pretrained(Path(self.trainer.default_root_dir) / "policy")

    def _data(self) -> Any:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _share(self, num_rows: Tensor) -> Tensor:
        """What this process's mean loss counts for, so that the mean over processes is that over all their rows."""
        return num_rows * self.trainer.world_size / global_sum(num_rows).clamp(min=1)

    def _rows(self, batch: PolicyBatch | DemonstrationBatch) -> PolicyBatch:
        if isinstance(batch, PolicyBatch):
            return batch
        zeros = torch.zeros(len(batch), device=batch.actions.device)
        tokens = self.policy.encode(batch.actions)
        return PolicyBatch(
            observation=batch.observation,
            tokens=tokens,
            mask=batch.mask.repeat_interleave(batch.actions.shape[2], dim=1),
            logprob=torch.zeros_like(tokens, dtype=torch.float32),
            value=zeros,
            advantage=zeros,
            target_return=zeros,
        )

    def _loss(self, rows: PolicyBatch) -> tuple[Tensor, dict[str, Tensor]]:
        if self.reference is None:
            return self.algorithm.loss(self.policy, rows)
        return self.algorithm.loss(self.policy, rows, reference=self.reference)  # type: ignore[call-arg]

    def _check_kl(self, metrics: dict[str, Tensor]) -> None:
        """Stop the updates of this rollout after this one if the KL over all processes is above the bound."""
        max_kl = getattr(self.algorithm, "max_kl", None)
        if max_kl is None:
            return
        # The same mean everywhere, so that all processes decide alike.
        self._is_stopped = bool(self.trainer.strategy.reduce(metrics["kl"], reduce_op="mean") > max_kl)
        self._means.add({"stopped": 0.0})

    def _idle_step(self, rows: PolicyBatch) -> Tensor:
        """A loss of 0. Lightning and other processes count on a step, so one row goes through the policy."""
        self._means.add({"stopped": 1.0})
        return 0.0 * self._loss(rows.select(torch.arange(1)))[0]

    def _check_first_ratio(self, metrics: dict[str, Tensor]) -> None:
        """The policy that is trained first is the policy that acted, so its importance ratios are 1.

        They are not where dropout, a mask, precision or a stale rollout makes the two differ.
        """
        self._means.add({f"first_{name}": metrics[name] for name in ("ratio", "ratio_error") if name in metrics})
        error = float(metrics.get("ratio_error", 0.0))
        # Not a number is no agreement either.
        if not error <= self._max_ratio_error:
            rank_zero_warn(
                f"the importance ratios right after the rollout differ from 1 by {error:.4f} on average: the log-probs "
                "of rollout and update disagree, and this run can't be trusted"
            )

    def _log_outcome(self, stage: str, rows: list[EvaluationRow]) -> None:
        names = ("success_once", "success_at_end")
        counts = torch.tensor([len(rows), *(sum(getattr(row, name) for row in rows) for name in names)])
        # Over all processes: each has run its own episodes.
        total = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum").tolist()
        num_episodes, *num_successes = total
        for name, successes in zip(names, num_successes, strict=True):
            low, high = wilson(successes, num_episodes)
            outcome = {name: successes / num_episodes, f"{name}_low": low, f"{name}_high": high}
            named = {f"{stage}/{key}": value for key, value in outcome.items()}
            self.log_dict(named, batch_size=num_episodes, sync_dist=True)


# Lightning reads it in every step, which takes a multiple of the time if it has to be made from the code each time.
PolicyModule.training_step.__signature__ = inspect.signature(PolicyModule.training_step)  # type: ignore[attr-defined]
