"""The only package that knows Lightning: modules, data modules and callbacks."""

from feat2go.training.demonstration_data import DemonstrationDataModule
from feat2go.training.policy_module import PolicyModule
from feat2go.training.rollout_data import RolloutDataModule
from feat2go.training.value_data import ValueDataModule
from feat2go.training.value_module import ValueModule

__all__ = ["DemonstrationDataModule", "PolicyModule", "RolloutDataModule", "ValueDataModule", "ValueModule"]
