"""Writes the tables of measured figures from the JSON that the benchmarks wrote: ``python docs/make_measured.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from feat2go.core.files import atomic_write

ROOT = Path(__file__).parents[1]
# Of a result: what was measured, and the figure.
Describe = Callable[[dict[str, Any]], Iterator[tuple[str, str]]]
MARKS = ("<!-- measured: begin -->\n", "<!-- measured: end -->\n")


def table(sections: dict[str, Describe]) -> str:
    """In Markdown; a benchmark that has left no JSON is missing."""
    lines = [
        f"| {what} | {figure} | `python benchmarks/{_script(result)}` |"
        for name, describe in sections.items()
        if (result := _read(name))
        for what, figure in describe(result)
    ]
    return "\n".join(["| what | measured | with |", "|---|---|---|", *lines]) + "\n"


def _read(name: str) -> dict[str, Any]:
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return result


def _demo(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    before, after = (_interval(result[run]) for run in ("before", "after"))
    task = DEMO_TASKS[_script(result).partition("--env ")[2]]
    minutes, load = result["total_seconds"] / 60, result["machine"]["load_average"]
    episodes, steps = result["before"]["num_episodes"], result["num_env_steps"]
    yield (
        f"demo, {task}: success of the imitation start and after {steps:,} steps of PPO, {episodes} episodes each",
        f"{before} → {after}",
    )
    yield f"demo, {task}: duration after installation, {_cpus(result, load)}", f"{minutes:.1f} min"


def _values(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in result["rows"]:
        yield (
            f"value model on held-out expert episodes of {row['task']}: VOC, pair accuracy",
            f"{row['voc']:.3f}, {row['pair_accuracy']:.3f}",
        )


def _audit(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    measured = {group.split("/")[0] for group in result["methods"]}
    tasks = [task for task in KEPT_ASIDE if task in measured]
    for name in ("strokes", "contacts", "trend"):
        kept = [methods[name] for group, methods in result["methods"].items() if group.split("/")[0] in tasks]
        voc, f1, uniform = (
            sum(metrics[key]["mean"] for metrics in kept) / len(kept)
            for key in ("voc", "boundary_f1", "boundary_f1_uniform")
        )
        yield (
            f"targets of `{name}` on {', '.join(tasks)}: VOC; boundary F1, and of as many uniform stages",
            f"{voc:.3f}; {f1:.2f}, {uniform:.2f}",
        )


def _tabletop(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    slowest, fastest = min(result["frames_per_s"]), max(result["frames_per_s"])
    yield "tabletop, 64 environments, 64x64, one thread", f"{slowest:,.0f} to {fastest:,.0f} frames/s"


def _maniskill(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for control, name in (("joint", "joint"), ("ee", "end-effector")):
        small = [row for row in result["speed"] if row["control"] == control and row["image_size"] == 64]
        for chunk in (1, 5):
            speeds = [row["steps_per_s"] for row in small if row["chunk"] == chunk]
            machine = _cpus(result, small[0]["load_average"])
            yield (
                f"ManiSkill PushCube-v1, {name} control, chunks of {chunk}, 64x64, {machine}",
                f"{min(speeds):.0f} to {max(speeds):.0f} steps/s",
            )


def _kills(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    processes = "one process" if result["processes"] == 1 else f"{result['processes']} processes"
    fell = ", ".join(f"{place} {num}" for place, num in result["fell"].items() if num)
    lost = f"{result['checkpoints_lost']}, {result['iterations_lost_beyond_that_in_flight']}"
    equal = "equal" if result["same_parameters"] and result["same_log"] else "not equal"
    yield (
        f"{result['env']}, {processes}: {len(result['kills'])} times `kill -9` ({fell}) and resumed: checkpoints lost, "
        "iterations lost beyond the one in flight; parameters and log in the end, beside an uninterrupted run",
        f"{lost}; {equal} to the bit",
    )


def _label(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for measured in result["rows"]:
        for name, row in list(measured["speed"].items())[1:]:
            yield (
                f"`feat2go label` ({name}), frames/s over those of the bare {measured['encoder']}; frames/s",
                f"{row['ratio']:.2f}; {row['frames_per_s']:.1f} ({_load(result)})",
            )
    few, many = result["memory"]["peak_mib"].items()
    yield (
        f"`feat2go label`, peak memory with {few[0]} and with {many[0]} episodes",
        f"{few[1]:.0f} MiB, {many[1]:.0f} MiB",
    )


def _update(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in result["rows"]:
        update, epoch = (row["speed"][name]["ratio"] for name in ("update", "epoch"))
        yield (
            f"update of `{row['config']}` through `PolicyModule` and the Trainer, samples/s over those of a "
            "hand-written loop; with the log and the checkpoint",
            f"{update:.2f}; {epoch:.2f} ({_load(result)})",
        )


def _value_share(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in result["rows"]:
        yield (
            f"reward's share of a PPO iteration, {row['env']}, value model on {row['image_size']} pixels",
            f"{row['share']:.1%} ({_load(result)})",
        )


def _scaling(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, row in result["axes"].items():
        sizes = f"{row['sizes'][0]:,} to {row['sizes'][-1]:,}"
        yield (
            f"exponents of time and memory, {name}, {sizes}",
            f"{row['time_exponent']:.2f}, {row['memory_exponent']:.2f}",
        )


def _load(result: dict[str, Any]) -> str:
    return _cpus(result, result["machine"]["load_average"])


def _rollouts(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in result["rollouts"]:
        where = f"{row['env']}, {row['num_envs']} environments"
        overlap, speed = row["double_buffered_over_collector"]["ratio"], row["steps_per_s"]["collector"]
        yield (
            f"rollouts, {where}: steps/s of the collector over a bare loop; of the collector",
            f"{row['collector_over_bare']['ratio']:.2f}; {speed:,.0f} steps/s",
        )
        yield (
            f"rollouts, {where}: steps/s double-buffered over not; at most, by the policy's share",
            f"{overlap:.2f}; {row['bound_of_overlap']:.2f} ({_load(result)})",
        )


def _end_to_end(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    names = {"stable_baselines3": "Stable-Baselines3", "torchrl": "TorchRL"}
    speeds = {name: median(rates) for name, rates in result["steps_per_s"].items()}
    in_workers = result["over_the_faster_peer_in_workers"]
    others = ", ".join(
        f"{names[peer]} {version} {speeds[peer]:,.0f}, in workers {speeds[f'{peer}_in_workers']:,.0f}"
        for peer, version in result["peers"].items()
    )
    for name, ratio in result["over_the_faster_peer"].items():
        how = name.removeprefix("feat2go").replace("_", " ").strip() or "one process"
        yield (
            f"PPO iterations, tabletop, {result['num_envs']} environments, {how}: steps/s over the faster of the "
            f"others; over the faster of them with workers ({others} steps/s)",
            f"{ratio:.2f}; {in_workers[name]:.2f}; {speeds[name]:,.0f} steps/s ({_load(result)})",
        )


def _interval(outcome: dict[str, Any]) -> str:
    return f"{outcome['success_once']:.1%} [{outcome['low']:.1%}, {outcome['high']:.1%}]"


def _cpus(result: dict[str, Any], load: float) -> str:
    return f"{result['machine']['num_cpus']} CPUs at load {load:.1f}"


def _script(result: dict[str, Any]) -> str:
    script: str = result["command"].partition("benchmarks/")[2]
    # What an earlier run has found stays in the file: these say which part came last.
    for option in ("output", "layers", "groups", "methods"):
        script = script.partition(f" --{option}")[0]
    return script


# By the --env of benchmarks/demo.py.
DEMO_TASKS = {"": "PushCube-v1", "placesphere": "PlaceSphere-v1", "stackcube": "StackCube-v1", "tabletop": "tabletop"}
KEPT_ASIDE = ("PlaceSphere-v1", "LiftPegUpright-v1", "PullCube-v1", "PokeCube-v1", "TwoRobotStackCube-v1")
README: dict[str, Describe] = {
    "demo_pushcube": _demo,
    "demo_placesphere": _demo,
    "demo_stackcube": _demo,
    "demo_tabletop": _demo,
    "value_quality": _values,
    "audit_sweep": _audit,
    "tabletop_speed": _tabletop,
    "maniskill_speed": _maniskill,
    "kill_resume": _kills,
    "kill_resume_maniskill": _kills,
    "kill_resume_maniskill_ddp": _kills,
}
PERFORMANCE: dict[str, Describe] = {
    "label_speed": _label,
    "rollout_speed": _rollouts,
    "update_speed": _update,
    "value_share": _value_share,
    "end_to_end": _end_to_end,
    "scaling": _scaling,
}
PAGES = {"README.md": README, "docs/performance.md": PERFORMANCE}


def main() -> None:
    """Rewrite what stands between the marks of each page."""
    for page, sections in PAGES.items():
        head, _, rest = (ROOT / page).read_text().partition(MARKS[0])
        tail = rest.partition(MARKS[1])[2]
        with atomic_write(ROOT / page) as partial:
            partial.write_text(head + MARKS[0] + table(sections) + MARKS[1] + tail)


if __name__ == "__main__":
    main()
