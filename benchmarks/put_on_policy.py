"""A policy of put_on in all settings of the suite: cloned, then improved by PPO with the reward ``terminal_value``.

``python benchmarks/put_on_policy.py [--episodes 16] [--id-episodes 64] [--only STAGE ...] [--docs-only]`` runs the
configs for put_on through ``feat2go``, under ``runs/put_on``. What is done is not done again, and what was interrupted
goes on. ``--only`` runs some stages, so that two can run at the same time; the result then has what there is.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import record
from commands import feat2go
from demo import success

from feat2go.core.files import atomic_write
from feat2go.core.suites import SuiteSetting
from feat2go.core.types import EvaluationRow
from feat2go.envs.put_on.suites import PutOnID, PutOnOOD
from feat2go.report.discovery import discover
from feat2go.report.metrics import ENV_STEPS
from feat2go.report.runs import Evaluation
from feat2go.rollouts.suites import SuiteLine, summarise_suite
from feat2go.rollouts.tables import read_table

RESULT = Path(__file__).parent / "results" / "put_on_policy.json"
DOCS = record.ROOT / "docs" / "put_on.md"
MARKS = ("<!-- policy: begin -->", "<!-- policy: end -->")
COLUMNS = {"before": "cloned", "after": "after PPO"}
RUNS = Path("runs/put_on")
# Where each stage leaves its command and how long it took, once it is done.
DONE = RUNS / ".policy"
[IN_DISTRIBUTION] = (setting.name for setting in PutOnID.settings)


def stages(num_episodes: int, num_id_episodes: int) -> dict[str, list[str]]:
    """Name -> arguments of ``feat2go``, in the order in which they build on each other."""
    return {
        "demonstrations": ["collect", "--config=configs/collect_put_on.yaml"],
        "few": ["collect", "--config=configs/collect_few_put_on.yaml"],
        "label": ["label", f"{RUNS}/demonstrations", "--config=configs/label_put_on.yaml"],
        "label_few": ["label", f"{RUNS}/few", "--config=configs/label_put_on.yaml"],
        "value": ["fit", "--config=configs/value_put_on.yaml", *resume("value")],
        "plain": ["collect", "--config=configs/collect_plain_put_on.yaml"],
        "bc": ["fit", "--config=configs/bc_put_on.yaml", *resume("bc")],
        **evaluations("before", "bc", num_episodes, num_id_episodes),
        "ppo": ["fit", "--config=configs/ppo_put_on.yaml", *resume("ppo")],
        **evaluations("after", "ppo", num_episodes, num_id_episodes),
    }


def evaluations(name: str, fit: str, num_episodes: int, num_id_episodes: int) -> dict[str, list[str]]:
    """The suite, and more episodes in distribution."""
    command = ["evaluate", "--config=configs/evaluate_put_on.yaml", f"--checkpoint={RUNS}/{fit}"]
    return {
        f"{name}_id": [
            *command,
            f"--suite={PutOnID.name}",
            f"--episodes={num_id_episodes}",
            f"--output={RUNS}/{name}_id",
        ],
        name: [*command, f"--episodes={num_episodes}", f"--output={RUNS}/{name}"],
    }


def resume(fit: str) -> list[str]:
    """Options that make a fit go on, if there is what to go on from."""
    last = RUNS / fit / "checkpoints" / "last.ckpt"
    return [f"--ckpt_path={last}"] if last.is_file() else []


def run(stage: str, words: list[str]) -> None:
    """One stage, if it is not done yet with this command."""
    done = DONE / f"{stage}.json"
    command = [word for word in words if not word.startswith("--ckpt_path")]
    if done.is_file() and json.loads(done.read_text())["command"] == command:
        return
    start = time.monotonic()
    feat2go(*words)
    with atomic_write(done) as partial:
        partial.write_text(json.dumps({"command": command, "seconds": round(time.monotonic() - start, 1)}))


def summarise() -> dict[str, Any]:
    """Of what there is: seconds of each stage, experience of PPO, and the tables before and after."""
    runs = discover([RUNS])
    evaluations = {run.path.name: run for run in runs.evaluations}
    steps = [fit.metrics.series(ENV_STEPS).y.max() for fit in runs.fits if fit.path.name == "ppo"]
    done = [stage for stage in stages(0, 0) if (DONE / f"{stage}.json").is_file()]
    return {
        "seconds": {stage: json.loads((DONE / f"{stage}.json").read_text())["seconds"] for stage in done},
        "num_env_steps": int(steps[0]) if steps else None,
        **{name: table(name, evaluations.get(f"{name}_id")) for name in COLUMNS},
    }


def table(name: str, in_distribution: Evaluation | None) -> dict[str, Any] | None:
    """The lines of what is finished, with intervals; in distribution, the episodes of the longer evaluation count."""
    if in_distribution is None:
        return None
    paths = sorted((RUNS / name / "settings").glob("*.parquet"))
    rows = [row for path in paths for row in read_table(path) if row.setting != IN_DISTRIBUTION]
    rows += in_distribution.rows
    return {
        "in_distribution": success(in_distribution),
        "lines": [
            {
                "name": line.name,
                "is_category": line.is_category,
                "num_episodes": sum(row.setting == line.name for row in rows) or None,
                **{
                    kind: {end: round(getattr(getattr(line, kind), end), 4) for end in ("rate", "low", "high")}
                    for kind in ("success_once", "success_at_end")
                },
            }
            for line in lines_of(rows)
        ],
    }


@dataclass
class FinishedSettings:
    """A suite of some of another's settings."""

    settings: tuple[SuiteSetting, ...]
    name: str = PutOnOOD.name
    env: str = PutOnOOD.env


def lines_of(rows: list[EvaluationRow]) -> list[SuiteLine]:
    """Of the settings that have episodes; of a category, if all of its settings do."""
    names = {row.setting for row in rows}
    missing = {setting.category for setting in PutOnOOD.settings if setting.name not in names}
    lines = summarise_suite(rows, FinishedSettings(tuple(s for s in PutOnOOD.settings if s.name in names)))
    # The last line is the mean over categories.
    kept = lines if not missing or len(names) == 1 else lines[:-1]
    return [line for line in kept if not (line.is_category and line.name in missing)]


def markdown(result: dict[str, Any]) -> str:
    """A row per category and setting: success_once before and after PPO."""
    found = {name: {line["name"]: line for line in (result[name] or {"lines": []})["lines"]} for name in COLUMNS}
    lines = ["| | episodes |" + "".join(f" {title} |" for title in COLUMNS.values()), "|---|---|---|---|"]
    for name, line in (found["before"] | found["after"]).items():
        title = f"**{name}**" if line["is_category"] else f"`{name}`"
        cells = [cell(found[column].get(name)) for column in COLUMNS]
        lines.append(f"| {title} | {line['num_episodes'] or ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(line: dict[str, Any] | None) -> str:
    """``12.0% [8.0%, 18.0%]``."""
    if line is None:
        return "not measured"
    rate = line["success_once"]
    return f"{rate['rate']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}]"


def write_docs() -> None:
    """Put the table between the marks of docs/put_on.md."""
    head, rest = DOCS.read_text().split(MARKS[0])
    written = markdown(json.loads(RESULT.read_text()))
    DOCS.write_text(f"{head}{MARKS[0]}\n{written}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


def main() -> None:
    """Run what is missing; write the JSON and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=16, help="of each setting")
    parser.add_argument("--id-episodes", type=int, default=64, help="in distribution")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help=", ".join(stages(0, 0)))
    parser.add_argument("--docs-only", action="store_true", help="write the table of an earlier run")
    arguments = parser.parse_args()
    if not arguments.docs_only:
        for stage, words in stages(arguments.episodes, arguments.id_episodes).items():
            if arguments.only is None or stage in arguments.only:
                run(stage, words)
        record.write(RESULT, summarise())
    write_docs()


if __name__ == "__main__":
    main()
