"""Observation and instruction to action tokens, log-probs and a critic value."""

from feat2go.policies.load import load_policy
from feat2go.policies.tiny_vla import TinyVLA

__all__ = ["TinyVLA", "load_policy"]
