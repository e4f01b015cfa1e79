"""How a policy acts: in eval mode and without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def acting(policy: Any) -> Iterator[None]:
    """Eval mode, without gradients; afterwards each part is in the mode that it was in, frozen ones too.

    Not ``torch.inference_mode``: what is computed under it can't take part in a later update.

    Args:
        policy: a module, or anything else, which has no modes.
    """
    parts = list(policy.modules()) if isinstance(policy, nn.Module) else []
    modes = [part.training for part in parts]
    if parts:
        policy.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        # From the outside in: a module's ``train`` also switches what is inside.
        for part, was_training in zip(parts, modes, strict=True):
            if part.training != was_training:
                part.train(was_training)
