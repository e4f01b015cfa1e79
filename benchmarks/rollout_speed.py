"""Environment steps per second of the collector over a bare loop of the same policy forward and environment step.

python benchmarks/rollout_speed.py --output benchmarks/results/rollout_speed.json

Environment, policy and length of a rollout are those of configs/ppo_tabletop.yaml and configs/ppo_pushcube.yaml, the
policy is untrained. The bare loop keeps nothing and logs nothing. Both play the same episodes, in turns (A B B A ...);
the ratio is the median over the pairs. A third turn collects double-buffered: two environments of half the size, one of
which steps while the policy acts in the other. The share of the policy in the bare loop says how much that could gain.
The ratio of the main process's processor time is given too: for the tabletop, which has no other process, it says more
than that of the wall clock on a busy machine.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from record import ROOT, write

from feat2go.core.protocols import VectorEnv
from feat2go.core.seeding import generator, rollout_seeds
from feat2go.envs.maniskill import ManiSkill
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rollouts.acting import acting
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.turns import EnvsInTurn

CONFIGS = {"tabletop": "ppo_tabletop", "maniskill": "ppo_pushcube"}
ENVS: dict[str, Callable[..., Any]] = {"tabletop": Tabletop, "maniskill": ManiSkill}


class BareLoop:
    """The policy's forward pass and the environments' step, and nothing else."""

    def __init__(self, env: VectorEnv, num_steps: int) -> None:
        self.env = env
        self.num_steps = num_steps
        self.policy_s = 0.0
        seeds = rollout_seeds(0, 0, 1)
        running = [next(seeds) for _ in range(env.num_envs)]
        self._next_seeds = [next(seeds) for _ in range(env.num_envs)]
        self._seeds = seeds
        self._observation = env.reset(running)

    def collect(self, policy: TinyVLA, noise: torch.Generator) -> int:
        """Act ``num_steps`` times everywhere; returns how many actions were carried out."""
        num_env_steps = 0
        for _ in range(self.num_steps):
            start = time.perf_counter()
            seen = self._observation
            output = policy.act(generator=noise, **policy.preprocess(seen.images, seen.instruction, seen.state))
            self.policy_s += time.perf_counter() - start
            step = self.env.step(output.actions, self._next_seeds)
            num_env_steps += int(step.valid.sum())
            for row in step.final_index.tolist():
                self._next_seeds[row] = next(self._seeds)
            self._observation = step.observation
        return num_env_steps


def halves(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of two environments that have as many rows, and workers, as one of these."""
    counts = [name for name in ("num_envs", "num_workers") if name in settings]
    return [{**settings, **{name: settings[name] // 2 for name in counts}} for _ in range(2)]


def measure(name: str, changes: dict[str, Any], num_steps: int | None, repeats: int) -> dict[str, Any]:
    """All three on one environment.

    Args:
        name: of the environment.
        changes: of its settings.
        num_steps: of a rollout; None for the config's.
        repeats: pairs that count, after one that doesn't.
    """
    config = yaml.safe_load((ROOT / "configs" / f"{CONFIGS[name]}.yaml").read_text())
    settings = {**config["data"]["init_args"]["env"]["init_args"], **changes}
    num_steps = num_steps or config["data"]["init_args"]["num_steps"]
    torch.manual_seed(0)
    policy = TinyVLA(**config["model"]["init_args"]["policy"]["init_args"])

    bare = BareLoop(ENVS[name](**settings), num_steps)
    collector = Collector(ENVS[name](**settings), num_steps, rollout_seeds(0, 0, 1))
    in_turn = EnvsInTurn([ENVS[name](**half) for half in halves(settings)])
    buffered = Collector(in_turn, num_steps, rollout_seeds(0, 0, 1))

    def run_collector(source: Collector, noise: torch.Generator) -> int:
        before = source.num_env_steps
        source.collect(policy, 1.0, noise)
        return source.num_env_steps - before

    loops: dict[str, Callable[[torch.Generator], int]] = {
        "bare": lambda noise: bare.collect(policy, noise),
        "collector": lambda noise: run_collector(collector, noise),
        "double_buffered": lambda noise: run_collector(buffered, noise),
    }
    steps_per_s: dict[str, list[float]] = {loop: [] for loop in loops}
    steps_per_cpu_s: dict[str, list[float]] = {loop: [] for loop in loops}
    seconds = 0.0
    with acting(policy):
        for repeat in range(-1, repeats):
            if repeat == 0:
                bare.policy_s = seconds = 0.0
            for loop in list(loops) if repeat % 2 else reversed(list(loops)):
                start, cpu_start = time.perf_counter(), time.process_time()
                num_env_steps = loops[loop](generator("benchmark", repeat))
                elapsed, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
                seconds += elapsed if loop == "bare" else 0.0
                if repeat >= 0:
                    steps_per_s[loop].append(num_env_steps / elapsed)
                    steps_per_cpu_s[loop].append(num_env_steps / cpu_s)
    for env in (bare.env, collector.env, in_turn):
        env.close()

    share = bare.policy_s / seconds
    return {
        "env": bare.env.env_id,
        "num_envs": bare.env.num_envs,
        "image_size": bare.env.image_size,
        "chunk": policy.chunk,
        "num_steps": num_steps,
        "steps_per_s": {loop: [round(rate, 1) for rate in rates] for loop, rates in steps_per_s.items()},
        "collector_over_bare": round(median_ratio(steps_per_s["collector"], steps_per_s["bare"]), 3),
        "collector_over_bare_of_cpu": round(median_ratio(steps_per_cpu_s["collector"], steps_per_cpu_s["bare"]), 3),
        "double_buffered_over_collector": round(
            median_ratio(steps_per_s["double_buffered"], steps_per_s["collector"]), 3
        ),
        "policy_share_of_bare": round(share, 3),
        "bound_of_overlap": round(1 / max(share, 1 - share), 3),
    }


def median_ratio(rates: list[float], others: list[float]) -> float:
    """Of the pairs."""
    return statistics.median(rate / other for rate, other in zip(rates, others, strict=True))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--envs", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--num-envs", type=int, help="an even number, in place of the config's")
    parser.add_argument("--num-steps", type=int, help="decisions of a rollout, in place of the config's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    changes = {} if arguments.num_envs is None else {"num_envs": arguments.num_envs}
    rows = []
    for name in arguments.envs:
        rows.append(measure(name, changes, arguments.num_steps, arguments.repeats))
        print(rows[-1], flush=True)
    write(arguments.output, {"num_threads": 1, "repeats": arguments.repeats, "rollouts": rows})


if __name__ == "__main__":
    main()
