"""Which seeds belong to training, development and evaluation, and generators that no two ranks share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import torch

SPLIT_SIZE = 1_000_000_000
SPLITS = {"train": 0, "development": SPLIT_SIZE, "evaluation": 2 * SPLIT_SIZE}

# Training seeds from here on are for rollouts, those below for demonstrations.
FIRST_ROLLOUT_INDEX = 100_000_000


def episode_seed(split: str, index: int) -> int:
    """Seed of episode ``index`` of a split. Splits are disjoint ranges of 10^9 seeds.

    Raises:
        ValueError: for an unknown split or an index outside of it.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split '{split}'; known: {', '.join(SPLITS)}")
    if not 0 <= index < SPLIT_SIZE:
        raise ValueError(f"episode index {index} is outside [0, {SPLIT_SIZE})")
    return SPLITS[split] + index


def split_of(seed: int) -> str:
    """The split that a seed belongs to.

    Raises:
        ValueError: for a seed outside of every split.
    """
    for split, first in SPLITS.items():
        if first <= seed < first + SPLIT_SIZE:
            return split
    raise ValueError(f"seed {seed} belongs to no split; seeds lie in [0, {len(SPLITS) * SPLIT_SIZE})")


def require_split(seeds: Iterable[int], allowed: Iterable[str], purpose: str) -> None:
    """Refuse seeds that were set apart for something else.

    Raises:
        ValueError: naming the first seed outside of the allowed splits.
    """
    allowed = tuple(allowed)
    for seed in seeds:
        split = split_of(seed)
        if split not in allowed:
            raise ValueError(f"seed {seed} is from the {split} split, but {purpose} may only use: {', '.join(allowed)}")


def rollout_seeds(run_seed: int, rank: int, world_size: int, start: int = 0) -> Iterator[int]:
    """Endless training seeds for the rollouts of one rank. No two ranks and no two run seeds below 800 share one."""
    first = FIRST_ROLLOUT_INDEX + (run_seed % 800) * 1_000_000
    index = start * world_size + rank
    while True:
        yield episode_seed("train", first + index)
        index += world_size


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded by a hash of its parts, e.g. ``generator(run_seed, rank, "rollout")``."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
