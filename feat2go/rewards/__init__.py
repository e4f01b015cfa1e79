"""What an episode is worth: its outcome, and for dense rewards the way there."""

from feat2go.rewards.dense import ManiSkillDense, Potential, RFTFDense, StepsToGo
from feat2go.rewards.srpo import SRPO
from feat2go.rewards.terminal import Sparse, TerminalValue

__all__ = ["SRPO", "ManiSkillDense", "Potential", "RFTFDense", "Sparse", "StepsToGo", "TerminalValue"]
