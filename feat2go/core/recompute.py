"""Gradient checkpointing: activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_activations(blocks: Iterable[nn.Module]) -> None:
    """Let each block keep only its inputs for the backward pass (Chen et al. 2016, arXiv 1604.06174).

    A third more computation in an update, for activations of one block at a time. Without gradients, as in rollouts,
    nothing changes; nor do outputs, gradients or the names of parameters.

    Args:
        blocks: changed in place; the repeated blocks of a network, none inside another. With gradients, they must not
            write into their arguments (a key-value cache).
    """
    for block in blocks:
        block.forward = partial(_recomputed, block.forward)


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
