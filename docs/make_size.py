"""Writes the tables of docs/size.md from the JSON that benchmarks/vla_size.py wrote: ``python docs/make_size.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from feat2go.core.files import atomic_write

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "size.md"
RESULT = ROOT / "benchmarks" / "results" / "vla_size.json"
NOT_MEASURED = "not measured: no GPU"
# What sets two kinds of rows apart; rows of one kind differ in their batch size.
KIND = ("policy", "phase", "lora_rank", "gradient_checkpointing", "kv_cache")
ESTIMATED_BATCH_SIZES = (1, 8, 32, 64, 128)

Row = dict[str, Any]


def estimates(result: Row) -> str:
    """7B: what was measured of each kind of row, and the estimate by formula beside it."""
    measured = _by_kind(result["measured"]["rows"]) if result["measured"]["size"] == "7b" else {}
    head = ["policy", "pass", "learns", "checkpointing", "cache", "measured", "estimate: TFLOP per sample"]
    head += [f"estimate: GiB at batch {size}" for size in ESTIMATED_BATCH_SIZES]
    lines = []
    for kind, rows in _by_kind(result["estimated"]["rows"]).items():
        of_batch = {row["batch_size"]: row for row in rows}
        memory = [f"{of_batch[size]['estimated_peak_gib']:.1f}" for size in ESTIMATED_BATCH_SIZES]
        flops = f"{of_batch[1]['tflop']:.1f}"
        lines.append([*_names(kind), _best(measured.get(kind, [])), flops, *memory])
    return _table(head, lines)


def iteration(result: Row) -> str:
    """The PPO iteration of 7B in a sentence."""
    of = result["estimated"]["ppo_iteration"]
    what = f"{of['num_envs']} environments x {of['num_steps']} steps, updates of {of['batch_size']}"
    estimate = f"estimate: {of['estimated_peak_gib']:.1f} GiB, {of['tflop'] / 1000:.1f} PFLOP"
    measured = result["measured"]
    return f"{what}: {_outcome(measured['ppo_iteration']) if measured['size'] == '7b' else NOT_MEASURED}; {estimate}.\n"


def tiny(result: Row) -> str:
    """Samples per second of the tiny network, or nothing where 7B was measured."""
    measured = result["measured"]
    if measured["size"] != "tiny":
        return ""
    sizes = sorted({row["batch_size"] for row in measured["rows"]})
    lines = [
        [*_names(kind), *(f"{row['samples_per_s']:.3g}" for row in rows)]
        for kind, rows in _by_kind(measured["rows"]).items()
    ]
    head = ["policy", "pass", "learns", "checkpointing", "cache", *(f"samples/s at batch {size}" for size in sizes)]
    return _table(head, lines) + f"\n{_machine(result)}\n"


BLOCKS: dict[str, Callable[[Row], str]] = {"7b": estimates, "iteration": iteration, "tiny": tiny}


def marks(block: str) -> tuple[str, str]:
    """What a generated part of the page stands between."""
    return f"<!-- {block}: begin -->\n", f"<!-- {block}: end -->\n"


def _by_kind(rows: list[Row]) -> dict[tuple[Any, ...], list[Row]]:
    kinds: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault(tuple(row[name] for name in KIND), []).append(row)
    return kinds


def _names(kind: tuple[Any, ...]) -> Iterator[str]:
    policy, phase, lora_rank, recomputes, has_cache = kind
    yield from (policy, phase, "adapters" if lora_rank else "all")
    yield "" if phase == "rollout" else _yes_or_no(recomputes)
    yield "" if has_cache is None else _yes_or_no(has_cache)


def _yes_or_no(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _best(rows: list[Row]) -> str:
    """The batch size at which it was fastest."""
    fitted = [row for row in rows if not row["out_of_memory"]]
    if not fitted:
        return "out of memory" if rows else NOT_MEASURED
    best = max(fitted, key=lambda row: row["samples_per_s"])
    mfu = "" if best["mfu"] is None else f", {best['mfu']:.0%} MFU"
    speed = f"{best['samples_per_s']:.3g} samples/s, {best['actions_per_s']:.3g} actions/s{mfu}"
    return f"{speed}, {best['peak_gib']:.1f} GiB at batch {best['batch_size']}"


def _outcome(found: Row) -> str:
    return "out of memory" if found["out_of_memory"] else f"{found['seconds']:.0f} s, {found['peak_gib']:.1f} GiB"


def _machine(result: Row) -> str:
    machine, day = result["machine"], result["date"][:10]
    return f"{machine['cpu']}, one thread, load {machine['load_average']:.1f}, {day}, commit `{result['commit'][:7]}`."


def _table(head: list[str], lines: list[list[str]]) -> str:
    ruled = ["---"] * len(head)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ruled, *lines))


def main() -> None:
    """Rewrite what stands between the marks."""
    result: Row = json.loads(RESULT.read_text())
    text = PAGE.read_text()
    for block, write in BLOCKS.items():
        begin, end = marks(block)
        head, _, rest = text.partition(begin)
        text = head + begin + write(result) + end + rest.partition(end)[2]
    with atomic_write(PAGE) as partial:
        partial.write_text(text)


if __name__ == "__main__":
    main()
