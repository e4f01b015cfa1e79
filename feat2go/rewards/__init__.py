"""What the outcome of an episode is worth."""

from feat2go.rewards.terminal import Sparse, TerminalValue

__all__ = ["Sparse", "TerminalValue"]
