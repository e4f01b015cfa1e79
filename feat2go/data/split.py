"""Which episodes are held out. In one place, so that who shows held-out episodes shows the right ones."""

from __future__ import annotations

import torch

from feat2go.core.seeding import generator


def held_out(num_episodes: int, share: float, seed: int) -> list[int]:
    """Places of the episodes that are not trained on, in ascending order.

    Args:
        num_episodes: at least 2.
        share: of them to hold out; at least one is, and at least one is not.
        seed: of the draw.

    Raises:
        ValueError: for fewer than 2 episodes.
    """
    if num_episodes < 2:
        raise ValueError(
            f"{num_episodes} successful episodes can't be split; one to train on and one held out is the least"
        )
    num_held_out = min(max(round(share * num_episodes), 1), num_episodes - 1)
    order = torch.randperm(num_episodes, generator=generator(seed, "held-out episodes"))
    return sorted(order[:num_held_out].tolist())
