"""Environment steps per second of the collector over a bare loop of the same policy forward and environment step.

python benchmarks/rollout_speed.py

Environment, policy and length of a rollout are those of configs/ppo_tabletop.yaml and configs/ppo_pushcube.yaml; the
policy is untrained. The bare loop keeps nothing and logs nothing. Both play the same episodes, in turns (A B C A B C).
C is the collector double-buffered: two environments of half the size, each with workers of its own, one of which steps
while the policy acts in the other. The policy's share of the bare loop says how much that could gain at most, with one
thread for each.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from interleaved import in_turns, relative_speed
from record import ROOT, write

from feat2go.core.protocols import VectorEnv
from feat2go.core.seeding import generator, rollout_seeds
from feat2go.envs.maniskill import ManiSkill
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rollouts.acting import acting
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.turns import EnvsInTurn

RESULT = Path(__file__).parent / "results" / "rollout_speed.json"
CONFIGS = {"tabletop": "ppo_tabletop", "maniskill": "ppo_pushcube"}
ENVS: dict[str, Callable[..., Any]] = {"tabletop": Tabletop, "maniskill": ManiSkill}


class BareLoop:
    """The policy's forward pass and the environments' step, and nothing else.

    Attributes:
        policy_s: seconds in the policy, of each time that it was collected.
    """

    def __init__(self, env: VectorEnv, num_steps: int) -> None:
        self.env = env
        self.num_steps = num_steps
        self.policy_s: list[float] = []
        seeds = rollout_seeds(0, 0, 1)
        running = [next(seeds) for _ in range(env.num_envs)]
        self._next_seeds = [next(seeds) for _ in range(env.num_envs)]
        self._seeds = seeds
        self._observation = env.reset(running)

    def collect(self, policy: TinyVLA, noise: torch.Generator) -> int:
        """Act ``num_steps`` times everywhere; returns how many actions were carried out."""
        policy_s = 0.0
        num_env_steps = 0
        for _ in range(self.num_steps):
            start = time.perf_counter()
            seen = self._observation
            output = policy.act(generator=noise, **policy.preprocess(seen.images, seen.instruction, seen.state))
            policy_s += time.perf_counter() - start
            step = self.env.step(output.actions, self._next_seeds)
            num_env_steps += int(step.valid.sum())
            for row in step.final_index.tolist():
                self._next_seeds[row] = next(self._seeds)
            self._observation = step.observation
        self.policy_s.append(policy_s)
        return num_env_steps


def halves(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of two environments that have as many rows, and workers, as one of these; one worker at least."""
    num_workers = max(1, settings.get("num_workers", 0) // 2)
    return [{**settings, "num_envs": settings["num_envs"] // 2, "num_workers": num_workers} for _ in range(2)]


def measure(name: str, changes: dict[str, Any], num_steps: int | None, repeats: int) -> dict[str, Any]:
    """All three on one environment.

    Args:
        name: of the environment.
        changes: of its settings.
        num_steps: decisions of a rollout; None for the config's.
        repeats: turns of each that count.
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

    noise = [generator("benchmark", loop) for loop in ("same", "same", "double_buffered")]
    with acting(policy):
        clocks = in_turns(
            {
                "bare": lambda: bare.collect(policy, noise[0]),
                "collector": lambda: collector.collect(policy, 1.0, noise[1]),
                "double_buffered": lambda: buffered.collect(policy, 1.0, noise[2]),
            },
            repeats,
        )
    for env in (bare.env, collector.env, in_turn):
        env.close()
    share = sum(bare.policy_s[1:]) / sum(clocks["bare"].wall)
    num_env_steps = collector.num_env_steps / (1 + repeats)
    return {
        "env": bare.env.env_id,
        "num_envs": bare.env.num_envs,
        "image_size": bare.env.image_size,
        "chunk": policy.chunk,
        "num_steps": num_steps,
        "steps_per_s": {loop: round(num_env_steps / median(clock.wall), 1) for loop, clock in clocks.items()},
        "collector_over_bare": relative_speed(clocks["collector"], clocks["bare"]),
        "double_buffered_over_collector": relative_speed(clocks["double_buffered"], clocks["collector"]),
        "policy_share_of_bare": round(share, 3),
        "bound_of_overlap": round(1 / max(share, 1 - share), 3),
        "turns": {loop: clock.to_json() for loop, clock in clocks.items()},
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--envs", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--repeats", type=int, default=9, help="turns of each")
    parser.add_argument("--num-envs", type=int, help="an even number, in place of the config's")
    parser.add_argument("--num-steps", type=int, help="decisions of a rollout, in place of the config's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    changes = {} if arguments.num_envs is None else {"num_envs": arguments.num_envs}
    rows = []
    for name in arguments.envs:
        rows.append(measure(name, changes, arguments.num_steps, arguments.repeats))
        print({key: value for key, value in rows[-1].items() if key != "turns"}, flush=True)
    write(arguments.output, {"num_threads": 1, "repeats": arguments.repeats, "rollouts": rows})


if __name__ == "__main__":
    main()
