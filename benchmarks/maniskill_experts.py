"""Success and length of the scripted ManiSkill experts on development seeds, which no training or evaluation uses.

``python benchmarks/maniskill_experts.py [--episodes 100] [--tasks PickCube-v1 ...] [--setting_episodes 20]``.
PutOn-v1 is also run in each setting out of distribution of its suite. The rows of tasks that are not named stay as they
are; a row says when it was measured.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import record

from feat2go.core.intervals import wilson
from feat2go.core.seeding import episode_seed
from feat2go.envs.maniskill.env import ManiSkill
from feat2go.envs.maniskill.experts import EXPERTS
from feat2go.envs.put_on.suites import PutOnOOD

RESULT = Path(__file__).parent / "results" / "maniskill_experts.json"
DOCS = record.ROOT / "docs" / "put_on.md"
MARKS = ("<!-- experts: begin -->", "<!-- experts: end -->")
SETTINGS: dict[str, dict[str, float]] = {
    "plain": {},
    "noise 0.1, tempo 0.5": {"expert_noise": 0.1, "expert_tempo": 0.5},
}


def run_episodes(env: ManiSkill, num_episodes: int) -> list[tuple[bool, int]]:
    """Success and length of the episodes with the first development seeds."""
    seeds = deque(episode_seed("development", i) for i in range(num_episodes + 2 * env.num_envs))
    env.reset([seeds.popleft() for _ in range(env.num_envs)])
    upcoming = [seeds.popleft() for _ in range(env.num_envs)]
    lengths = [0] * env.num_envs
    # An episode counts if it is among the first that started; by the first that ended, short ones would be favoured.
    num_started = env.num_envs
    is_counted = [True] * env.num_envs
    results = []
    while any(is_counted):
        step = env.step(env.expert_actions()[:, None], upcoming)
        lengths = [length + 1 for length in lengths]
        for row in step.final_index.tolist():
            if is_counted[row]:
                results.append((bool(step.success[row, 0]), lengths[row]))
            is_counted[row] = num_started < num_episodes
            num_started += 1
            lengths[row] = 0
            upcoming[row] = seeds.popleft() if seeds else 0
    return results


def measure(
    task: str, setting: dict[str, float], num_episodes: int, task_options: dict[str, str] | None = None
) -> dict[str, Any]:
    """One row of the table."""
    env = ManiSkill(task, num_envs=4, num_workers=2, image_size=16, task_options=task_options, **setting)  # type: ignore[arg-type]
    results = run_episodes(env, num_episodes)
    env.close()
    lengths = [length for success, length in results if success]
    return {
        "task": task,
        **setting,
        "date": record.provenance()["date"],
        **({"task_options": task_options} if task_options else {}),
        "max_episode_steps": env.max_episode_steps,
        "num_episodes": len(results),
        "success_rate": len(lengths) / len(results),
        "mean_length": round(mean(lengths), 1) if lengths else None,
        "max_length": max(lengths, default=None),
    }


def main() -> None:
    """Measure every task in every setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--tasks", nargs="+", default=list(EXPERTS), choices=list(EXPERTS))
    parser.add_argument("--setting_episodes", type=int, default=20)
    parser.add_argument("--docs-only", action="store_true", help="write the table of earlier runs")
    arguments = parser.parse_args()
    if arguments.docs_only:
        write_docs()
        return
    rows = [row for row in earlier() if row["task"] not in arguments.tasks]
    for task in arguments.tasks:
        for name, knobs, options in cases(task):
            num_episodes = arguments.setting_episodes if options else arguments.episodes
            rows.append({"setting": name, **measure(task, knobs, num_episodes, options)})
            print(rows[-1], flush=True)
            rows.sort(key=lambda row: list(EXPERTS).index(row["task"]))
            record.write(RESULT, {"experts": rows})
    write_docs()


def cases(task: str) -> Iterator[tuple[str, dict[str, float], dict[str, str]]]:
    """Name, knobs of the expert, and options of the task."""
    for name, knobs in SETTINGS.items():
        yield name, knobs, {}
    if task == "PutOn-v1":
        for other in PutOnOOD.settings[1:]:
            yield other.name, {}, {"setting": other.name}


def earlier() -> list[dict[str, Any]]:
    """The rows of the last run."""
    if not RESULT.is_file():
        return []
    result = json.loads(RESULT.read_text())
    return [{**row, "date": row.get("date", result["date"])} for row in result["experts"]]


def write_docs() -> None:
    """Put the table between the marks of docs/put_on.md."""
    lines = [
        "| task | setting | episodes | success | actions, mean and most | limit |",
        "|---|---|---|---|---|---|",
    ]
    for row in earlier():
        low, high = wilson(round(row["success_rate"] * row["num_episodes"]), row["num_episodes"])
        lines.append(
            f"| {row['task']} | {row['setting']} | {row['num_episodes']} "
            f"| {row['success_rate']:.0%} [{low:.0%}, {high:.0%}] "
            f"| {row['mean_length']}, {row['max_length']} | {row['max_episode_steps']} |"
        )
    head, rest = DOCS.read_text().split(MARKS[0])
    table = "\n".join(lines)
    DOCS.write_text(f"{head}{MARKS[0]}\n{table}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


if __name__ == "__main__":
    main()
