"""Rendered frames per second of the tabletop environment on one core.

python benchmarks/tabletop_speed.py

A random policy in all environments; every step is rendered and returned as a ``Step``; ended episodes are reset. Frames
per second of processor time are given too: on a busy machine they say more than those of the wall clock.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import itertools
import time
from pathlib import Path

import torch
from record import write

from feat2go.envs.tabletop import Tabletop

RESULT = Path(__file__).parent / "results" / "tabletop_speed.json"


def measure(env: Tabletop, num_steps: int) -> tuple[float, float]:
    """Frames per second of wall time and of processor time, over ``num_steps`` steps of all environments."""
    seeds = itertools.count()
    generator = torch.Generator().manual_seed(0)
    actions = 2.0 * torch.rand(num_steps + 5, env.num_envs, 1, env.action_dim, generator=generator) - 1.0
    env.reset([next(seeds) for _ in range(env.num_envs)])
    for chunk in actions[:5]:
        env.step(chunk, [next(seeds) for _ in range(env.num_envs)])
    wall, processor = time.perf_counter(), time.process_time()
    for chunk in actions[5:]:
        env.step(chunk, [next(seeds) for _ in range(env.num_envs)])
    num_frames = num_steps * env.num_envs
    return num_frames / (time.perf_counter() - wall), num_frames / (time.process_time() - processor)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=64, help="pixels")
    parser.add_argument("--num-steps", type=int, default=200, help="per repeat")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    env = Tabletop(num_envs=arguments.num_envs, image_size=arguments.image_size)
    frames_per_s, frames_per_cpu_s = zip(
        *(measure(env, arguments.num_steps) for _ in range(arguments.repeats)), strict=True
    )
    settings = {name: value for name, value in vars(arguments).items() if name != "output"}
    result = {"num_threads": 1, "frames_per_s": frames_per_s, "frames_per_cpu_s": frames_per_cpu_s}
    write(arguments.output, {"env": env.env_id, **settings, **result})
    print(f"tabletop, {env.num_envs} environments at {env.image_size}x{env.image_size}, one core:")
    print("frames/s in each repeat:                   " + ", ".join(f"{rate:,.0f}" for rate in frames_per_s))
    print("frames/s of processor time in each repeat: " + ", ".join(f"{rate:,.0f}" for rate in frames_per_cpu_s))


if __name__ == "__main__":
    main()
