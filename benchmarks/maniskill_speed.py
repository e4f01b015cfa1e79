"""Environment steps per second of ManiSkill in two worker processes, every returned observation rendered.

``python benchmarks/maniskill_speed.py [--steps 1500]``
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import record

from feat2go.core.seeding import episode_seed
from feat2go.envs.maniskill.env import ManiSkill

RESULT = Path(__file__).parent / "results" / "maniskill_speed.json"
TASK = "PushCube-v1"
NUM_WORKERS = 2


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(control: str, num_envs: int, chunk: int, image_size: int, num_steps: int) -> dict[str, Any]:
    """Steps per second with random actions, resets included."""
    env = ManiSkill(TASK, num_envs=num_envs, num_workers=NUM_WORKERS, image_size=image_size, control=control)  # type: ignore[arg-type]
    seeds = (episode_seed("train", i) for i in itertools.count())
    random = np.random.default_rng(0)
    observation = env.reset(list(itertools.islice(seeds, num_envs)))

    def act() -> int:
        actions = random.uniform(-1, 1, (num_envs, chunk, env.action_dim)).astype(np.float32)
        return int(env.step(actions, list(itertools.islice(seeds, num_envs))).valid.sum())

    for _ in range(20):
        act()
    workers = [worker.pid for worker in env._simulation.workers]  # type: ignore[attr-defined]
    start, used = time.perf_counter(), sum(map(cpu_seconds, workers))
    done = 0
    while done < num_steps:
        done += act()
    elapsed, used = time.perf_counter() - start, sum(map(cpu_seconds, workers)) - used
    env.close()
    return {
        "task": TASK,
        "control": control,
        "num_envs": num_envs,
        "num_workers": NUM_WORKERS,
        "chunk": chunk,
        "image_size": observation.images["base"].shape[1],
        "num_steps": done,
        "steps_per_s": round(done / elapsed, 1),
        "worker_cpu_ms_per_step": round(1000 * used / done, 2),
        # Beside the workers, others may have used the machine: this many processes wanted to run.
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Measure both controls, single actions and chunks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    rows = []
    for control, (num_envs, chunk, image_size) in itertools.product(
        ("joint", "ee"), ((2, 1, 64), (2, 5, 64), (8, 1, 64), (8, 5, 64), (8, 1, 128))
    ):
        rows.append(measure(control, num_envs, chunk, image_size, arguments.steps))
        print(rows[-1], flush=True)
    record.write(RESULT, {"speed": rows})


if __name__ == "__main__":
    main()
