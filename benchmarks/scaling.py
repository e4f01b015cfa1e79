"""How time and memory grow with environments, horizon, image size, dataset and processes: fitted exponents.

python benchmarks/scaling.py

Each size doubles or quadruples the one before; the exponent is the slope of a least-squares line through logarithms.
1 is proportional, below it something is shared. Each point is a process of its own with one thread, which keeps freed
memory as ``feat2go`` does; the middle one of the repeats counts, each of which goes over all sizes. Time is that of the
second of two turns, since the first also pays for memory that is new to the process, a page at a time. It is the
processor's, which other work on the machine hardly moves; only for ``ranks`` it is the wall's, since waiting for each
other is what could grow there. Memory is the peak of both turns above what the process held after a warm-up at a small
size, and at least 1 MiB: less is the allocator's.

- ``environments`` and ``horizon``: a PPO iteration on the tabletop with tiny_vla: rollout, advantages, and one pass of
  updates in minibatches of 256.
- ``pixels``: the same against the number of pixels of a picture, which is what is rendered, stored and convolved;
  the policy sees every pixel. Against the side, each exponent would be twice as large for the same cost.
- ``dataset``: labelling with pixels as features, against the number of episodes.
- ``ranks``: an iteration of ``feat2go fit`` with DDP, where each process has environments of its own. Each does as much
  as one alone, so 0 is perfect and 1 would be no gain. A machine with 2 cores allows 1 and 2 processes and no more:
  the exponent is the slope between two points. Memory is that of one process, as a whole.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import json
import math
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from fit import ITERATIONS_ALONE, SPARSE, write_config
from interleaved import Clock
from kill_resume import Training
from label_speed import STATUS, collect, status_bytes
from lightning.pytorch import Callback
from record import write

from feat2go.algorithms import PPO
from feat2go.cli.allocator import keep_freed_memory
from feat2go.clustering import Trend
from feat2go.core.seeding import generator, rollout_seeds
from feat2go.data import open_dataset
from feat2go.encoders.baselines import PixelPatches
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA
from feat2go.progress import label_episodes
from feat2go.rewards import Sparse
from feat2go.rollouts.acting import acting
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.relabel import relabel, terminal_values

RESULT = Path(__file__).parent / "results" / "scaling.json"
MINIBATCH = 256
MIB = 2**20
DATASET_SIZES = (25, 50, 100, 200)
NUM_PIXELS = (64**2, 128**2, 256**2)


class Cost(NamedTuple):
    """Of one point."""

    seconds: float
    bytes: float


def exponent(sizes: Sequence[float], amounts: Sequence[float]) -> float:
    """The a of ``amount = b * size^a``, by least squares on the logarithms.

    Raises:
        ValueError: for fewer than two sizes, or anything not above 0.
    """
    if len(sizes) < 2 or min(*sizes, *amounts) <= 0:
        raise ValueError(f"expected two or more sizes and amounts above 0; got {sizes} and {amounts}")
    return float(np.polyfit(np.log(sizes), np.log(amounts), 1)[0])


def iteration(num_envs: int, num_steps: int, image_size: int) -> None:
    """Rollout, advantages and one pass of updates."""
    env = Tabletop(num_envs=num_envs, image_size=image_size)
    policy = TinyVLA(env.action_dim, state_dim=env.state_dim, image_size=image_size, width=128)
    ppo, optimizer = PPO(logprob_level="token"), torch.optim.Adam(policy.parameters(), 5e-4)
    with acting(policy):
        rollout = Collector(env, num_steps, rollout_seeds(0, 0, 1, 0)).collect(policy, 1.0, generator("scaling"))
    batch = ppo.prepare(relabel(rollout, Sparse(), terminal_values(rollout, None)))
    for rows in torch.randperm(len(batch)).split(MINIBATCH):
        loss, _ = ppo.loss(policy, batch.select(rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    env.close()


def label(dataset: Path, num_episodes: int) -> None:
    """The first episodes of a dataset."""
    episodes = open_dataset(dataset)
    first = (episodes[number] for number in range(num_episodes))
    with tempfile.TemporaryDirectory() as scratch:
        label_episodes(first, PixelPatches(), Trend(), Path(scratch) / "labels.parquet")


def cost_of(work: Callable[[], None], warm_up: Callable[[], None]) -> Cost:
    """What a piece of work costs in this process, which has done nothing before."""
    warm_up()
    # Peaks of the warm-up are forgotten.
    Path("/proc/self/clear_refs").write_text("5")
    before = _bytes("VmRSS")
    work()
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    return Cost(seconds, max(_bytes("VmHWM") - before, MIB))


def set_up() -> None:
    """Of a new process."""
    torch.set_num_threads(1)
    keep_freed_memory()


class NoteCost(Callback):
    """Seconds of each of a rank's iterations but the first, which builds everything, and its peak memory."""

    def __init__(self) -> None:
        self._clock = Clock()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch:
            self._clock.stop()
        self._clock.start()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._clock.stop()
        cost = Cost(median(self._clock.wall[1:]), _bytes("VmHWM"))
        (Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.json").write_text(json.dumps(cost))


def cost_of_ranks(num_ranks: int, context: Any, num_envs: int, num_iterations: int) -> Cost:
    """Of an iteration with DDP on so many processes; the slowest and the largest of them counts."""
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = Path(scratch) / "run"
        changes = {
            **ITERATIONS_ALONE,
            **SPARSE,
            "trainer.max_epochs": num_iterations + 1,
            "trainer.strategy": "ddp",
            "trainer.devices": num_ranks,
            "trainer.callbacks": [{"class_path": "scaling.NoteCost"}],
            "data.init_args.env.init_args.num_envs": num_envs,
        }
        words = ["fit", "--config", str(write_config("ppo_tabletop.yaml", run_dir, changes))]
        log = Path(scratch) / "log.txt"
        try:
            Training(context, words, num_ranks, log, kill=None).finish()
        except RuntimeError:
            print(log.read_text())
            raise
        costs = [Cost(*json.loads(file.read_text())) for file in run_dir.glob("rank*.json")]
    return Cost(max(cost.seconds for cost in costs), max(cost.bytes for cost in costs))


def measure_axis(sizes: Sequence[int], cost_at: Callable[[int], Cost], repeats: int) -> dict[str, Any]:
    """Middle costs of each size, and the exponents that fit them."""
    turns = [[cost_at(size) for size in sizes] for _ in range(repeats)]
    seconds = [median(turn[i].seconds for turn in turns) for i in range(len(sizes))]
    held = [median(turn[i].bytes for turn in turns) for i in range(len(sizes))]
    return {
        "sizes": list(sizes),
        "seconds": [round(s, 4) for s in seconds],
        "mib": [round(b / MIB, 1) for b in held],
        "time_exponent": round(exponent(sizes, seconds), 3),
        "memory_exponent": round(exponent(sizes, held), 3),
    }


def measure(context: Any, dataset: Path, repeats: int) -> dict[str, Any]:
    """Every axis but the ranks, which need processes that start in another way."""

    def apart(work: Callable[..., None], small: int, **fixed: Any) -> Callable[[int], Cost]:
        """The cost at a size, in a new process."""

        def cost_at(size: int) -> Cost:
            with context.Pool(1, set_up) as pool:
                return pool.apply(cost_of, (partial(work, size, **fixed), partial(work, small, **fixed)))

        return cost_at

    return {
        "environments": measure_axis((32, 64, 128, 256), apart(_with_envs, 4), repeats),
        "horizon": measure_axis((16, 32, 64, 128), apart(_with_steps, 2), repeats),
        "pixels": measure_axis(NUM_PIXELS, apart(_with_pixels, 32**2), repeats),
        "dataset": measure_axis(DATASET_SIZES, apart(_with_episodes, 2, dataset=dataset), repeats),
    }


def _with_envs(size: int) -> None:
    iteration(num_envs=size, num_steps=16, image_size=64)


def _with_steps(size: int) -> None:
    iteration(num_envs=32, num_steps=size, image_size=64)


def _with_pixels(size: int) -> None:
    iteration(num_envs=32, num_steps=16, image_size=math.isqrt(size))


def _with_episodes(size: int, dataset: Path) -> None:
    label(dataset, size)


def _bytes(field: str) -> int:
    return status_bytes(field, Path(STATUS).read_text())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=6, help="of each number of ranks")
    arguments = parser.parse_args()

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["scaling", "feat2go.cli.training"])
    with tempfile.TemporaryDirectory() as scratch:
        dataset = Path(scratch) / "dataset"
        collect(dataset, max(DATASET_SIZES))
        axes = measure(context, dataset, arguments.repeats)
    ranks = range(1, min(2, len(os.sched_getaffinity(0))) + 1)
    if len(ranks) > 1:
        cost_at = partial(cost_of_ranks, context=context, num_envs=64, num_iterations=arguments.iterations)
        axes["ranks"] = measure_axis(ranks, cost_at, repeats=1)
    settings = {name: value for name, value in vars(arguments).items() if name != "output"}
    write(arguments.output, {**settings, "axes": axes})
    for name, row in axes.items():
        print(f"{name}: time ~ size^{row['time_exponent']}, memory ~ size^{row['memory_exponent']}")


if __name__ == "__main__":
    main()
