"""Losses on batches of decisions. No Lightning in here."""

from feat2go.algorithms.bc import BC
from feat2go.algorithms.ppo import PPO

__all__ = ["BC", "PPO"]
