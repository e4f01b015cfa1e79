"""``feat2go evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from feat2go import __version__
from feat2go.cli.parsing import run_function
from feat2go.core.intervals import wilson
from feat2go.core.seeding import episode_seed
from feat2go.core.slots import VectorEnv
from feat2go.policies.load import load_policy
from feat2go.rollouts.evaluation import evaluate, write_table
from feat2go.values.frozen import FrozenValue


def run(words: Sequence[str]) -> None:
    """Evaluate a policy; see :func:`evaluate_policy`."""
    run_function(evaluate_policy, words)


def evaluate_policy(
    checkpoint: str,
    env: Callable[[], VectorEnv],
    output: str,
    episodes: int = 128,
    seeds: str = "evaluation",
    temperature: float = 0.0,
    value_model: str | None = None,
    num_videos: int = 4,
) -> None:
    """Run a policy on episodes that it was not trained on, once each; print success with Wilson 95 % intervals.

    Args:
        checkpoint: a run's folder, its ``policy/``, or a ``.ckpt`` file.
        env: the environment.
        output: folder for ``episodes.parquet`` (a row per episode) and ``videos/``.
        episodes: how many.
        seeds: ``evaluation`` or ``development``, with the first episode behind a colon if it is not 0.
        temperature: of the policy; 0 is greedy.
        value_model: folder of a frozen value model whose terminal predictions go into the table.
        num_videos: of successes and failures together.
    """
    if episodes < 1:
        raise ValueError(f"episodes is at least 1; got {episodes}")
    split, _, first = seeds.partition(":")
    policy = load_policy(checkpoint)
    predictor = FrozenValue.load(value_model) if value_model else None
    environment = env()
    try:
        rows = evaluate(
            environment,
            policy,
            [episode_seed(split, int(first or 0) + i) for i in range(episodes)],
            temperature=temperature,
            predictor=predictor,
            video_folder=Path(output) / "videos",
            num_videos=num_videos,
            setting=split,
            generator=torch.Generator().manual_seed(0),
            progress=True,
        )
    finally:
        environment.close()
    metadata = {
        "checkpoint": checkpoint,
        "env": environment.env_id,
        "seeds": seeds,
        "temperature": str(temperature),
        "feat2go": __version__,
    }
    table = Path(output) / "episodes.parquet"
    write_table(rows, table, metadata)
    print(f"{environment.env_id}: {len(rows)} episodes, seeds {seeds}, temperature {temperature:g}")
    print(_line("success_once", [row.success_once for row in rows]))
    print(_line("success_at_end", [row.success_at_end for row in rows]))
    print(f"  table   {table}")


def _line(name: str, outcomes: list[bool]) -> str:
    low, high = wilson(sum(outcomes), len(outcomes))
    return f"  {name:16}{sum(outcomes) / len(outcomes):6.1%}  [{low:.1%}, {high:.1%}]"
