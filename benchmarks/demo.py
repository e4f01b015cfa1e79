"""The demonstration, from pictures to a policy that reinforcement learning improved: how good and how long.

``python benchmarks/demo.py [--env maniskill]`` runs ``feat2go demo`` where it has not run to its end yet.
"""

from __future__ import annotations

import argparse
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

import record

from feat2go.cli.demo import TASKS, demo
from feat2go.core.intervals import wilson
from feat2go.report.discovery import discover
from feat2go.report.metrics import ENV_STEPS
from feat2go.report.provenance import commands
from feat2go.report.runs import Evaluation, Runs

RESULTS = Path(__file__).parent / "results"


def summarise(runs: Runs) -> dict[str, Any]:
    """Seconds of each stage, success before and after, and how much experience lies between them."""
    seconds = {command.stage: command.seconds for command in commands(runs) if command.is_exact}
    [ppo] = [fit for fit in runs.fits if fit.path.name == "ppo"]
    return {
        # The first stage fetches weights; what it took is not known.
        "seconds": {stage: round(taken, 1) for stage, taken in seconds.items() if taken is not None},
        "total_seconds": round(sum(taken for taken in seconds.values() if taken is not None), 1),
        "num_env_steps": int(ppo.metrics.series(ENV_STEPS).y.max()),
        **{run.path.name: success(run) for run in runs.evaluations if run.path.name in ("before", "after")},
    }


def success(evaluation: Evaluation) -> dict[str, Any]:
    """success_once with its Wilson 95 % interval, and what the value model says of both outcomes."""
    rows = evaluation.rows
    low, high = wilson(sum(row.success_once for row in rows), len(rows))
    return {
        "num_episodes": len(rows),
        "temperature": evaluation.metadata.get("temperature"),
        "success_once": sum(row.success_once for row in rows) / len(rows),
        "low": low,
        "high": high,
        "success_at_end": sum(row.success_at_end for row in rows) / len(rows),
        "terminal_value_success": _mean_or_none([row.terminal_value for row in rows if row.success_once]),
        "terminal_value_failure": _mean_or_none([row.terminal_value for row in rows if not row.success_once]),
    }


def _mean_or_none(values: list[float]) -> float | None:
    # Without a value model they are NaN, which JSON does not have.
    known = [value for value in values if isfinite(value)]
    return mean(known) if known else None


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", choices=TASKS, default="maniskill")
    env = parser.parse_args().env
    demo(env)
    result = summarise(discover([Path("runs") / TASKS[env]]))
    record.write(RESULTS / f"demo_{TASKS[env]}.json", result)
    print(result)


if __name__ == "__main__":
    main()
