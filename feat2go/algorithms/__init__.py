"""Losses on batches of decisions. No Lightning in here."""

from feat2go.algorithms.awr import AWR
from feat2go.algorithms.bc import BC
from feat2go.algorithms.grpo import GRPO
from feat2go.algorithms.ppo import PPO
from feat2go.algorithms.reinforce import Reinforce
from feat2go.algorithms.rftf import RFTF

__all__ = ["AWR", "BC", "GRPO", "PPO", "RFTF", "Reinforce"]
