"""``feat2go collect``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from feat2go.cli.parsing import run_function
from feat2go.core.slots import VectorEnv
from feat2go.rollouts.demonstrations import collect


def run(words: Sequence[str]) -> None:
    """Record demonstrations; see :func:`collect_demonstrations`."""
    run_function(collect_demonstrations, words)


def collect_demonstrations(
    env: Callable[[], VectorEnv],
    output: str,
    num_episodes: int,
    split: str = "train",
    first_index: int = 0,
    keep_failures: bool = False,
) -> None:
    """Record episodes of an environment's scripted expert. The same command goes on where it stopped.

    Args:
        env: the environment; its expert's noise and tempo are its own settings.
        output: folder of the dataset.
        num_episodes: episodes to have in the end.
        split: ``train`` or ``development``; evaluation seeds are refused.
        first_index: first episode of the split.
        keep_failures: keep failed episodes too, marked as such.
    """
    environment = env()
    try:
        collect(environment, Path(output), num_episodes, split, first_index, keep_failures)
    finally:
        environment.close()
