"""Environment steps per second of the GPU simulation, for 1 to 1,024 environments; every observation is rendered.

``python benchmarks/maniskill_gpu_speed.py [--env put_on] [--steps 50]``. Needs a CUDA device with Vulkan.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch

from feat2go.core.seeding import episode_seed
from feat2go.envs.maniskill.env import ManiSkill
from feat2go.envs.put_on import PutOn

RESULT = Path(__file__).parent / "results" / "maniskill_gpu_speed.json"
NUM_ENVS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
IMAGE_SIZE = 224
NUM_WARM_UP_STEPS = 5


def make(name: str, num_envs: int) -> ManiSkill:
    """``put_on``, or a ManiSkill task by its id."""
    if name == "put_on":
        return PutOn(num_envs=num_envs, image_size=IMAGE_SIZE)
    return ManiSkill(name, num_envs=num_envs, image_size=IMAGE_SIZE)


def measure(name: str, num_envs: int, num_steps: int) -> dict[str, Any]:
    """Seconds of a reset of all environments, then steps per second with random actions."""
    env = make(name, num_envs)
    random = np.random.default_rng(0)
    seeds = [episode_seed("train", i) for i in range(num_envs)]

    def act(num_actions: int) -> float:
        start = time.perf_counter()
        for _ in range(num_actions):
            env.step(random.uniform(-1, 1, (num_envs, 1, env.action_dim)).astype(np.float32), seeds)
        # Pictures are in main memory by then, so nothing is left to wait for.
        return time.perf_counter() - start

    env.reset(seeds)
    act(NUM_WARM_UP_STEPS)
    start = time.perf_counter()
    env.reset(seeds)
    reset_s = time.perf_counter() - start
    step_s = act(num_steps)
    env.close()
    return {
        "env": name,
        "num_envs": num_envs,
        "image_size": IMAGE_SIZE,
        "steps_per_s": round(num_envs * num_steps / step_s, 1),
        "reset_s": round(reset_s, 2),
        "gpu_memory_gib": round((torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0]) / 2**30, 1),
    }


def main() -> None:
    """Measure each number of environments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="put_on", help="put_on, or a ManiSkill task id")
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device: this measures the GPU simulation; benchmarks/maniskill_speed.py needs none")
    rows = []
    for num_envs in NUM_ENVS:
        rows.append(measure(arguments.env, num_envs, arguments.steps))
        print(rows[-1], flush=True)
    record.write(RESULT, {"gpu": torch.cuda.get_device_name(), "speed": rows})


if __name__ == "__main__":
    main()
