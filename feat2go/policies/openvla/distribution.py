"""From logits to tokens and their log-probs."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.core.categorical import sample_categories


def sample(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Float32 (..., V) -> int64 (...); the largest at temperature 0.

    Raises:
        ValueError: for a negative temperature.
    """
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0; got {temperature}")
    if temperature == 0:
        return logits.argmax(-1)
    return sample_categories((logits / temperature).softmax(-1), generator)


def log_probs(logits: Tensor, temperature: float) -> Tensor:
    """Float32 (..., V); at temperature 0, where all but one are -inf, those of temperature 1."""
    return (logits / (temperature or 1.0)).log_softmax(-1)


def entropy(logprobs: Tensor) -> Tensor:
    """Nats: (..., V) -> (...)."""
    return -(logprobs.exp() * logprobs).sum(-1)


def pick(logprobs: Tensor, index: Tensor) -> Tensor:
    """(..., V) at int64 (...) -> (...)."""
    return logprobs.gather(-1, index[..., None])[..., 0]
