"""Rendered frames per second of the tabletop environment on one core.

python benchmarks/tabletop_speed.py --output benchmarks/results/tabletop_speed.json

A random policy in all environments; every step is rendered and returned as a ``Step``; ended episodes are reset.
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


def measure(env: Tabletop, num_steps: int) -> float:
    """Frames per second over ``num_steps`` steps of all environments."""
    seeds = itertools.count()
    generator = torch.Generator().manual_seed(0)
    actions = 2.0 * torch.rand(num_steps + 5, env.num_envs, 1, env.action_dim, generator=generator) - 1.0
    env.reset([next(seeds) for _ in range(env.num_envs)])
    for chunk in actions[:5]:
        env.step(chunk, [next(seeds) for _ in range(env.num_envs)])
    start = time.perf_counter()
    for chunk in actions[5:]:
        env.step(chunk, [next(seeds) for _ in range(env.num_envs)])
    return num_steps * env.num_envs / (time.perf_counter() - start)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=64, help="pixels")
    parser.add_argument("--num-steps", type=int, default=200, help="per repeat")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    env = Tabletop(num_envs=arguments.num_envs, image_size=arguments.image_size)
    frames_per_s = [measure(env, arguments.num_steps) for _ in range(arguments.repeats)]
    settings = {name: value for name, value in vars(arguments).items() if name != "output"}
    write(arguments.output, {"env": env.env_id, **settings, "threads": 1, "frames_per_s": frames_per_s})
    print(f"tabletop, {env.num_envs} environments at {env.image_size}x{env.image_size}, one core:")
    print("frames/s in each repeat: " + ", ".join(f"{rate:,.0f}" for rate in frames_per_s))


if __name__ == "__main__":
    main()
