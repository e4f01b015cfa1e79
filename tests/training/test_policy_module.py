"""What a PolicyModule hands to Lightning, without a Trainer: parameter groups, and what a checkpoint holds."""

import pytest
import torch

from feat2go.algorithms import BC, PPO
from feat2go.policies import TinyVLA, load_policy
from feat2go.registry import POLICIES
from feat2go.training.policy_module import PolicyModule


@POLICIES.register("half_frozen")
class HalfFrozen(TinyVLA):
    """Its vision is made by its constructor and does not learn, as the base under adapters."""

    restores_frozen = True

    def __init__(self, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(image_size=16, width=8)
        self.config = {"model_type": "half_frozen", "seed": seed}
        self.vision.requires_grad_(False)


class WithoutLogprob(TinyVLA):
    has_logprob = False


def build(policy, **arguments):
    module = PolicyModule(policy, arguments.pop("algorithm", PPO()), torch.optim.Adam, **arguments)
    module.configure_model()
    return module


def saved(module):
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    return checkpoint


def test_the_critic_has_a_learning_rate_of_its_own():
    module = build(lambda: TinyVLA(image_size=16, width=8), critic_lr=3e-3)
    others, critic = module.configure_optimizers().param_groups
    assert critic["lr"] == 3e-3
    assert others["lr"] == 1e-3
    assert {id(p) for p in critic["params"]} == {id(p) for p in module.policy.critic.parameters()}
    assert len(others["params"]) + len(critic["params"]) == len(list(module.policy.parameters()))


def test_without_one_all_parameters_are_one_group():
    (group,) = build(lambda: TinyVLA(image_size=16, width=8)).configure_optimizers().param_groups
    assert len(group["params"]) > 10


def test_a_learning_rate_of_a_critic_that_is_not_there_is_refused():
    def frozen():
        policy = TinyVLA(image_size=16, width=8)
        policy.critic.requires_grad_(False)
        return policy

    with pytest.raises(ValueError, match="critic_lr is set, but TinyVLA has no critic that learns"):
        build(frozen, critic_lr=1e-3).configure_optimizers()


def test_a_policy_without_log_probs_is_refused_before_it_acts():
    with pytest.raises(ValueError, match="WithoutLogprob gives no log-probs of its actions, which PPO needs"):
        build(lambda: WithoutLogprob(image_size=16, width=8))
    build(lambda: WithoutLogprob(image_size=16, width=8), algorithm=BC())


def test_a_frozen_base_is_in_no_checkpoint_and_comes_back_all_the_same(tmp_path):
    module = build(HalfFrozen)
    with torch.no_grad():
        module.policy.critic.bias.fill_(5)
    checkpoint = saved(module)
    assert "policy.critic.bias" in checkpoint["state_dict"]
    assert not [name for name in checkpoint["state_dict"] if name.startswith("policy.vision")]

    other = build(HalfFrozen)
    assert not other.strict_loading
    other.on_load_checkpoint(checkpoint)
    other.load_state_dict(checkpoint["state_dict"], strict=False)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    for again in (other.policy, load_policy(tmp_path / "last.ckpt")):
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in module.policy.state_dict().items())


def test_a_checkpoint_without_what_was_learned_is_refused(tmp_path):
    module = build(HalfFrozen)
    checkpoint = saved(module)
    del checkpoint["state_dict"]["policy.critic.bias"]
    with pytest.raises(ValueError, match=r"it lacks policy\.critic\.bias"):
        module.on_load_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"it lacks critic\.bias"):
        load_policy(tmp_path / "last.ckpt")
    torch.save(
        {**saved(module), "state_dict": {**saved(module)["state_dict"], "policy.new": torch.zeros(1)}},
        tmp_path / "l.ckpt",
    )
    with pytest.raises(ValueError, match="that its policy does not: new"):
        load_policy(tmp_path / "l.ckpt")


@pytest.mark.parametrize(("seed", "whole"), [(0, False), (1, True)])
def test_another_start_than_the_configs_base_goes_into_the_checkpoint(tmp_path, seed, whole):
    start = HalfFrozen(seed)
    torch.save(
        {"policy_config": start.config, "state_dict": {f"policy.{k}": v for k, v in start.state_dict().items()}},
        tmp_path / "s.ckpt",
    )
    module = build(HalfFrozen, initial_policy=str(tmp_path / "s.ckpt"))
    assert module.strict_loading == whole
    assert ("policy.vision.0.weight" in saved(module)["state_dict"]) == whole
