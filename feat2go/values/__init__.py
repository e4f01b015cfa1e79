"""Value networks, heads and losses, and the frozen predictor that RL asks."""

from feat2go.values.frozen import FrozenValue
from feat2go.values.heads import expectation, value_loss
from feat2go.values.network import ValueNetwork
from feat2go.values.small import SmallValue
from feat2go.values.text import HashedWords, SentenceEncoder
from feat2go.values.vla import VLABackboneValue
from feat2go.values.vlm import Qwen3VLValue, VLMValue

__all__ = [
    "FrozenValue",
    "HashedWords",
    "Qwen3VLValue",
    "SentenceEncoder",
    "SmallValue",
    "VLABackboneValue",
    "VLMValue",
    "ValueNetwork",
    "expectation",
    "value_loss",
]
