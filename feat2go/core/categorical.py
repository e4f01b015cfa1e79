"""Categories: drawing tokens from them, and how likely tokens are. Legend: V categories."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def sample_tokens(logits: Tensor, temperature: float, generator: torch.Generator | None = None) -> Tensor:
    """Float (..., V) -> int64 (...), drawn from softmax(logits / temperature); the largest at temperature 0.

    Raises:
        ValueError: for a negative temperature, or logits that hold NaN.
    """
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0; got {temperature}")
    if temperature == 0:
        return logits.argmax(-1)
    return sample_categories(_scaled(logits, temperature).softmax(-1), generator)


def token_logprob(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Float (..., V) at int64 (...) -> (...); at temperature 0, where all but one are -inf, those of temperature 1."""
    return _at(_scaled(logits, temperature or 1.0).log_softmax(-1), tokens)


def logprob_and_entropy(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probs of tokens under softmax(logits / temperature), and its entropies in nats.

    Their gradient is written out: autograd would make and keep twice as many tensors of the logits' size.

    Args:
        logits: float (..., V).
        tokens: int64 (...).
        temperature: above 0.

    Returns:
        Two of (...).
    """
    logprob, entropy = _LogprobAndEntropy.apply(_scaled(logits, temperature), tokens)  # type: ignore[no-untyped-call]
    return logprob, entropy


def sample_categories(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One category for each distribution, by inversion: the first whose cumulated probability reaches a uniform number.

    One random number for each, where ``torch.multinomial`` draws one for each category. Sums are in float64, so the
    frequencies are those of ``probs`` to a part in 10^15 whatever the number of categories, and what has a probability
    of zero is never drawn.

    Args:
        probs: float (..., V), not negative; need not sum to 1.
        generator: draws the numbers, on its device; the default one if None.

    Returns:
        int64 (...), on the device of ``probs``.

    Raises:
        ValueError: for NaN, infinity or a row of zeros.
    """
    device = probs.device if generator is None else generator.device
    cumulated = probs.to(device, torch.float64).cumsum(-1)
    total = cumulated[..., -1:]
    if not ((total > 0) & (total < torch.inf)).all():
        raise ValueError("can't draw from probabilities that hold NaN or infinity, or that are all zero")
    # In (0, 1]: a category of zero, which adds nothing to the sum, is then not the first to reach it.
    uniform = 1.0 - torch.rand(total.shape, dtype=torch.float64, device=device, generator=generator)
    return torch.searchsorted(cumulated, uniform * total)[..., 0].to(probs.device)


class _LogprobAndEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logprobs, probs = logits.log_softmax(-1), logits.softmax(-1)
        entropy = -torch.linalg.vecdot(probs, logprobs)
        ctx.save_for_backward(logprobs, probs, entropy, tokens)
        return _at(logprobs, tokens), entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_logprob: Tensor, for_entropy: Tensor) -> tuple[Tensor, None]:
        """Of probabilities p and entropy H: d log p_k = 1[k] - p, and dH = -p (log p + H)."""
        logprobs, probs, entropy, tokens = ctx.saved_tensors
        gradient = logprobs * -for_entropy[..., None]
        gradient.sub_((for_logprob + for_entropy * entropy)[..., None]).mul_(probs)
        return gradient.scatter_add_(-1, tokens[..., None], for_logprob[..., None]), None


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1 else logits / temperature


def _at(logprobs: Tensor, tokens: Tensor) -> Tensor:
    return logprobs.gather(-1, tokens[..., None])[..., 0]
