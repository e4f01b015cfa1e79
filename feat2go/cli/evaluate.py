"""``feat2go evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from feat2go import __version__
from feat2go.cli.parsing import run_function
from feat2go.core.intervals import wilson
from feat2go.core.protocols import Policy, ValuePredictor
from feat2go.core.seeding import episode_seed
from feat2go.core.slots import Suite, VectorEnv
from feat2go.core.suites import SuiteSetting
from feat2go.core.types import EvaluationRow
from feat2go.policies.load import load_policy
from feat2go.registry import ENVS
from feat2go.rollouts.evaluation import evaluate, read_metadata, read_table, write_table
from feat2go.rollouts.suites import Rate, SuiteLine, summarise_suite
from feat2go.values.frozen import FrozenValue


def run(words: Sequence[str]) -> None:
    """Evaluate a policy; see :func:`evaluate_policy`."""
    run_function(evaluate_policy, words)


def evaluate_policy(
    checkpoint: str,
    output: str,
    env: Callable[[], VectorEnv] | None = None,
    suite: Suite | None = None,
    episodes: int = 128,
    seeds: str = "evaluation",
    temperature: float = 0.0,
    value_model: str | None = None,
    num_videos: int = 4,
    device: str = "auto",
) -> None:
    """Run a policy on episodes that it was not trained on, once each; print success with Wilson 95 % intervals.

    Args:
        checkpoint: a run's folder, its ``policy/``, or a ``.ckpt`` file.
        output: folder for ``episodes.parquet`` (a row per episode) and ``videos/``.
        env: the environment; a suite brings its own, in whose place this one may stand with other arguments.
        suite: evaluate all settings of a suite, and print the table of its categories. The same command goes on behind
            the last setting that was finished.
        episodes: how many, in each setting.
        seeds: ``evaluation`` or ``development``, with the first episode behind a colon if it is not 0.
        temperature: of the policy; 0 is greedy.
        value_model: folder of a frozen value model whose terminal predictions go into the table.
        num_videos: of successes and failures together, in each setting.
        device: where policy and value model compute; by default a GPU, if there is one.
    """
    if episodes < 1:
        raise ValueError(f"episodes is at least 1; got {episodes}")
    split, _, first = seeds.partition(":")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    evaluation = _Evaluation(
        policy=load_policy(checkpoint).to(device),
        predictor=FrozenValue.load(value_model, device) if value_model else None,
        seeds=[episode_seed(split, int(first or 0) + i) for i in range(episodes)],
        split=split,
        temperature=temperature,
        num_videos=num_videos,
        output=Path(output),
        metadata={
            "checkpoint": checkpoint,
            "seeds": seeds,
            "temperature": str(temperature),
            "feat2go": __version__,
        },
    )
    what = f"{episodes} episodes, seeds {seeds}, temperature {temperature:g}"
    if suite is not None:
        rows = evaluation.of_suite(env or ENVS.get(suite.env), suite)
        print(f"{suite.name}: {len(suite.settings)} settings, each {what}")
        print(_table(summarise_suite(rows, suite)))
    elif env is not None:
        rows = evaluation.of_env(env)
        print(f"{rows[0].task}: {what}")
        print(_line("success_once", [row.success_once for row in rows]))
        print(_line("success_at_end", [row.success_at_end for row in rows]))
    else:
        raise ValueError("say what to evaluate on: --env or --suite (`feat2go list envs`, `feat2go list suites`)")
    print(f"  table   {Path(output) / 'episodes.parquet'}")


@dataclass(frozen=True)
class _Evaluation:
    """What is the same for all environments of one command."""

    policy: Policy
    predictor: ValuePredictor | None
    seeds: list[int]
    split: str
    temperature: float
    num_videos: int
    output: Path
    metadata: dict[str, str]

    def of_env(self, make_env: Callable[[], VectorEnv]) -> list[EvaluationRow]:
        """Evaluate in one environment and write the table."""
        rows = self._rows(make_env, videos="videos", suite="", setting=self.split)
        write_table(rows, self.output / "episodes.parquet", {**self.metadata, "env": rows[0].task})
        return rows

    def of_suite(self, make_env: Callable[..., VectorEnv], suite: Suite) -> list[EvaluationRow]:
        """Evaluate every setting, with a table for each and one for all."""
        metadata = {**self.metadata, "suite": suite.name}
        rows: list[EvaluationRow] = []
        for setting in suite.settings:
            table = self.output / "settings" / f"{setting.name}.parquet"
            if not self._is_done(table, metadata):
                write_table(self._rows_of_setting(make_env, suite, setting), table, metadata)
            rows += read_table(table)
        write_table(rows, self.output / "episodes.parquet", {**metadata, "env": rows[0].task})
        return rows

    def _rows_of_setting(
        self, make_env: Callable[..., VectorEnv], suite: Suite, setting: SuiteSetting
    ) -> list[EvaluationRow]:
        print(f"{suite.name}/{setting.name}")
        return self._rows(lambda: make_env(**setting.env_arguments), f"videos/{setting.name}", suite.name, setting.name)

    def _rows(self, make_env: Callable[[], VectorEnv], videos: str, suite: str, setting: str) -> list[EvaluationRow]:
        environment = make_env()
        try:
            return evaluate(
                environment,
                self.policy,
                self.seeds,
                temperature=self.temperature,
                predictor=self.predictor,
                video_folder=self.output / videos,
                num_videos=self.num_videos,
                suite=suite,
                setting=setting,
                generator=torch.Generator().manual_seed(0),
                progress=True,
            )
        finally:
            environment.close()

    def _is_done(self, table: Path, metadata: dict[str, Any]) -> bool:
        if not table.is_file() or read_metadata(table) != metadata:
            return False
        return [row.seed for row in read_table(table)] == self.seeds


def _line(name: str, outcomes: list[bool]) -> str:
    low, high = wilson(sum(outcomes), len(outcomes))
    return f"  {name:16}{sum(outcomes) / len(outcomes):6.1%}  [{low:.1%}, {high:.1%}]"


def _table(lines: Sequence[SuiteLine]) -> str:
    width = max(len(line.name) for line in lines) + 4
    rows = [f"  {'':{width}}{'success_once':26}success_at_end"]
    rows += [
        f"  {line.name if line.is_category else '  ' + line.name:{width}}{_cell(line.success_once):26}"
        f"{_cell(line.success_at_end)}"
        for line in lines
    ]
    return "\n".join(rows)


def _cell(rate: Rate) -> str:
    return f"{rate.rate:6.1%}  [{rate.low:.1%}, {rate.high:.1%}]"
