"""Which updates are made, and of what: the KL stop and the warm-up of the critic, under automatic optimisation."""

import pytest
import torch
from lightning.pytorch import Callback

from feat2go.training.policy_module import PolicyModule


class Changes(Callback):
    """Notes after each minibatch which of the policy's parts have changed in it."""

    def __init__(self):
        self.changed = []

    def on_train_start(self, trainer, module):
        self.before = self._state(module)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_index):
        after = self._state(module)
        self.changed.append({name.split(".")[0] for name in after if not torch.equal(after[name], self.before[name])})
        self.before = after

    def _state(self, module):
        return {name: value.clone() for name, value in module.policy.state_dict().items()}


@pytest.fixture
def changes():
    return Changes()


def test_behind_the_bound_of_the_kl_nothing_changes_until_the_next_rollout(fit, make_data, changes):
    module, _ = fit(data=make_data(num_epochs=3), max_kl=1e-9, trainer_arguments={"callbacks": [changes]})
    made = [bool(parts) for parts in changes.changed]
    # Two rollouts of six minibatches. The first is at KL 0; the second finds that the first has moved the policy.
    assert made == 2 * [True, True, False, False, False, False]
    # An optimiser step for every batch as far as Lightning knows, so validation and schedules keep their meaning.
    assert module.trainer.global_step == 12
    assert float(module.trainer.callback_metrics["train/stopped"]) == pytest.approx(4 / 6)
    # What is logged is of the real updates.
    assert module.algorithm.metrics[1]["kl"] > 1e-9


def test_below_the_bound_all_updates_are_made(fit, make_data, changes):
    module, _ = fit(data=make_data(num_epochs=3), max_kl=1e9, trainer_arguments={"callbacks": [changes]})
    assert all(changes.changed)
    assert float(module.trainer.callback_metrics["train/stopped"]) == 0.0


def test_the_bound_is_on_the_mean_over_all_processes(fit, make_data, changes, monkeypatch):
    """This process alone would go on; the others' KL stops it with them."""
    strategy = "lightning.pytorch.strategies.SingleDeviceStrategy.reduce"
    monkeypatch.setattr(strategy, lambda self, tensor, *args, **kwargs: tensor + 1.0)
    fit(data=make_data(num_epochs=3), max_kl=0.5, trainer_arguments={"callbacks": [changes]})
    assert [bool(parts) for parts in changes.changed] == 2 * [True, False, False, False, False, False]


def test_while_the_critic_warms_up_nothing_else_changes(fit, changes):
    module, _ = fit(critic_warmup=1, trainer_arguments={"callbacks": [changes]})
    first, second = changes.changed[:2], changes.changed[2:]
    assert first == [{"critic"}] * 2
    assert all({"critic", "actor", "trunk", "vision"} <= parts for parts in second)
    # So the policy stays the one that acted.
    assert all(metrics["ratio_error"] < 1e-5 for metrics in module.algorithm.metrics[:3])


def test_a_policy_without_a_critic_can_not_warm_it_up(fit):
    module, _ = fit()
    module.algorithm.critic_warmup = 10
    module.policy = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="critic_warmup needs a policy with a `critic`; Linear has none"):
        PolicyModule.on_before_optimizer_step(module, None)
