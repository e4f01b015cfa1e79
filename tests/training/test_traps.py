"""The traps of docs/traps.md that lie in the loop of rollouts and updates."""

import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader

from feat2go.core import EvaluationRow, Observation, PolicyBatch
from feat2go.core.intervals import wilson
from feat2go.core.seeding import episode_seed, rollout_seeds
from feat2go.rollouts.loader import RolloutLoader
from feat2go.training.policy_module import PolicyModule


class Counting(LightningModule):
    """Notes, for every batch, how many updates happened since it was collected."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.staleness = []
        self.collected_at = []

    def collect(self):
        """A batch of four rows, each of which knows the update at which it was collected."""
        self.collected_at.append(self.trainer.global_step)
        when, zeros = torch.full((4,), float(self.trainer.global_step)), torch.zeros(4, 1)
        mask, observation = torch.ones(4, 1, dtype=torch.bool), Observation({}, None, [""] * 4)
        return PolicyBatch(observation, zeros.long(), mask, zeros, when, when, when)

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch

    def training_step(self, batch, batch_index):
        self.staleness.append(self.trainer.global_step - int(batch.value[0]))
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def fit(self, loader, num_epochs):
        Trainer(
            accelerator="cpu",
            max_epochs=num_epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(self, loader)


class Rollouts:
    """Four fresh rollouts of one minibatch each, in one epoch."""

    def __init__(self, collect):
        self.collect = collect

    def __iter__(self):
        for _ in range(4):
            yield self.collect()


class SizedRollouts(Rollouts):
    def __len__(self):
        return 4


def test_lightning_fetches_ahead_from_a_loader_without_a_length():
    """So that every rollout but the first would be collected with the policy of one update ago."""
    unsized, sized = Counting(), Counting()
    unsized.fit(Rollouts(unsized.collect), num_epochs=1)
    sized.fit(SizedRollouts(sized.collect), num_epochs=1)
    assert unsized.staleness == [0, 1, 1, 1]
    assert sized.staleness == [0, 0, 0, 0]


def test_an_epoch_is_one_rollout_of_the_policy_as_it_is():
    module = Counting()
    loader = RolloutLoader(module.collect, num_epochs=2, num_minibatches=2, generator=torch.Generator())
    assert len(loader) == 4
    module.fit(loader, num_epochs=3)
    assert module.collected_at == [0, 4, 8]
    assert module.staleness == [0, 1, 2, 3] * 3


def test_asking_the_loader_for_an_iterator_collects_nothing():
    collected = []
    loader = RolloutLoader(lambda: collected.append(0), 1, 1, torch.Generator())
    iter(loader)
    assert not collected


def test_the_loader_has_no_workers_that_would_act_with_a_copy_of_the_policy(make_data):
    data = make_data()
    data.trainer = SimpleNamespace(
        global_rank=0, world_size=1, lightning_module=SimpleNamespace(policy=SimpleNamespace(action_dim=7))
    )
    assert isinstance(data.train_dataloader(), RolloutLoader)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        # Of a DataLoader, Lightning would also replace the sampler by one that repeats seeds.
        assert not isinstance(loader, DataLoader)
        assert len(loader) > 0
    data.teardown("fit")


# The same rows in batches of another size may take other kernels, in 8 bits of mantissa.
@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 1e-5), ("bf16-mixed", 1e-3)])
def test_the_first_importance_ratios_are_one(fit, precision, tolerance):
    module, _ = fit(trainer_arguments={"precision": precision})
    first = module.algorithm.metrics[::2]
    assert len(first) == 2
    for metrics in first:
        assert metrics["ratio_error"] <= tolerance
        assert metrics["ratio"] == pytest.approx(1, abs=tolerance)
    # The updates do change the policy, else all this would mean nothing.
    assert all(metrics["ratio_error"] > 1e-3 for metrics in module.algorithm.metrics[1::2])


def test_without_the_context_of_the_precision_they_are_not(fit, make_data):
    """Lightning opens it for its own steps only: a rollout would be in float32, its update in bfloat16."""
    data = make_data()
    collect = data._collect

    def collect_without_context():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MixedPrecision, "forward_context", lambda self: nullcontext())
            return collect()

    data._collect = collect_without_context
    module, _ = fit(data=data, trainer_arguments={"precision": "bf16-mixed"})
    assert all(metrics["ratio_error"] > 2e-3 for metrics in module.algorithm.metrics[::2])


def test_a_run_whose_first_ratios_are_off_says_so_loudly(fit):
    with pytest.warns(UserWarning, match=r"differ from 1 by 0\.\d+ on average.* can't be trusted"):
        module, _ = fit(dropout=0.03)
    first = module.algorithm.metrics[0]
    # Why the mean of the ratios is not what is checked: in expectation it is 1, whatever the policies are.
    assert abs(first["ratio"] - 1) < first["ratio_error"]
    assert first["ratio_error"] > 0.05
    assert float(module.trainer.callback_metrics["train/first_ratio_error"]) > 0.05


def test_a_sound_run_is_quiet(fit):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*can't be trusted")
        module, _ = fit()
    assert float(module.trainer.callback_metrics["train/first_ratio_error"]) == pytest.approx(0, abs=1e-5)
    assert float(module.trainer.callback_metrics["train/first_ratio"]) == pytest.approx(1, abs=1e-5)


def test_a_policy_acts_in_eval_mode_without_gradients_and_learns_in_train_mode(fit):
    module, _ = fit(kl_coef=0.1, trainer_arguments={"limit_val_batches": 1.0})
    # Not in inference mode either: Lightning validates a fit under no_grad.
    assert set(module.policy.acted) == {(False, False, False)}
    assert module.algorithm.modes == [(True, False)] * 4, "the policy learns, what it started from does not"


@pytest.mark.parametrize(("loader", "split"), [("val_dataloader", "development"), ("test_dataloader", "evaluation")])
def test_the_processes_share_the_evaluation_episodes_without_a_rest(make_data, loader, split):
    seeds = []
    for rank in range(3):
        data = make_data(num_eval_episodes=5)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=3)
        (batch,) = getattr(data, loader)()
        assert len(batch) == (2, 2, 1)[rank]
        seeds += batch
    assert sorted(seeds) == [episode_seed(split, i) for i in range(5)], "no episode counts twice"


def test_success_is_that_of_the_episodes_of_all_processes(make_data, monkeypatch):
    module = PolicyModule(nn.Identity, SimpleNamespace(), torch.optim.SGD)
    # The other process saw the same.
    strategy = SimpleNamespace(reduce=lambda counts, reduce_op: {"sum": 2 * counts}[reduce_op])
    module._trainer = SimpleNamespace(strategy=strategy, datamodule=None)
    logged = {}
    monkeypatch.setattr(module, "log_dict", lambda metrics, **_: logged.update(metrics))
    rows = [EvaluationRow("task", "", "", seed, seed < 2, False, 1, 0, 0.5, "", "put") for seed in range(3)]
    module._log_outcome("val", rows)
    low, high = wilson(4, 6)
    assert logged["val/success_once"] == pytest.approx(4 / 6)
    assert (logged["val/success_once_low"], logged["val/success_once_high"]) == (low, high)
    assert logged["val/success_at_end"] == 0


def test_no_two_processes_or_epochs_explore_with_the_same_noise(make_data):
    """``seed_everything`` gives every process the same."""

    class StopHereError(Exception):
        pass

    def collect(policy, temperature, noise, device):
        drawn.append(tuple(torch.rand(4, generator=noise).tolist()))
        raise StopHereError

    drawn = []
    for rank in range(2):
        for epoch in range(2):
            data = make_data()
            module = SimpleNamespace(algorithm=SimpleNamespace(temperature=1.0), policy=None, device="cpu")
            data.trainer = SimpleNamespace(
                global_rank=rank,
                world_size=2,
                current_epoch=epoch,
                lightning_module=module,
                precision_plugin=SimpleNamespace(forward_context=nullcontext),
            )
            data._collector = SimpleNamespace(collect=collect, num_env_steps=0)
            with pytest.raises(StopHereError):
                data._collect()
    assert len(set(drawn)) == 4
    # Nor do they see the same episodes.
    episodes = [next(rollout_seeds(run_seed=0, rank=rank, world_size=2)) for rank in range(2)]
    assert episodes[0] != episodes[1]


def test_the_same_metrics_are_logged_whether_or_not_an_episode_ended(fit, make_data):
    """A metric that only some processes log would leave the others waiting."""
    _, ended = fit()
    _, running = fit(data=make_data(max_episode_steps=40))
    assert ended.rollout_metrics["num_episodes"] == 4
    assert running.rollout_metrics["num_episodes"] == 0
    assert ended.rollout_metrics.keys() == running.rollout_metrics.keys()


def test_gradient_clipping_and_accumulation_are_the_trainers(fit):
    """The update is Lightning's automatic one, so its flags keep their meaning."""
    whole, _ = fit(trainer_arguments={"gradient_clip_val": 1.0})
    assert whole.automatic_optimization
    assert whole.trainer.global_step == 4
    accumulated, _ = fit(trainer_arguments={"accumulate_grad_batches": 2})
    assert accumulated.trainer.global_step == 2
