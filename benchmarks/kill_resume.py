"""A training that is killed again and again, and goes on: what is lost, and whether the end is the same.

python benchmarks/kill_resume.py
python benchmarks/kill_resume.py --env maniskill --runs 1 --kills 2 --iterations 6 \
    --output benchmarks/results/kill_resume_maniskill.json
python benchmarks/kill_resume.py --env maniskill --processes 2 --runs 1 --kills 1 --iterations 6 \
    --output benchmarks/results/kill_resume_maniskill_ddp.json

First the training runs in one go. Then the same training is killed with SIGKILL, all of its processes at once, by turns
in a rollout, in an update and while it writes a checkpoint, at a random moment of a random one of these. After each
kill the checkpoints are read, and the training goes on with ``--ckpt_path last``. In the end, parameters and logged
metrics are compared bit by bit. Where the kill fell, the killed process has noted in shared memory. Several such runs
are beside each other.
"""

from __future__ import annotations

import argparse
import csv
import functools
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import torch
from record import ROOT, write
from safetensors.torch import load_file

from feat2go.training.checkpoints import read_checkpoint

RESULT = Path(__file__).parent / "results" / "kill_resume.json"
# A small training from each config: no value model, no start, and episodes longer than a rollout.
SMALL = "--trainer.enable_progress_bar false --trainer.enable_model_summary false --trainer.accelerator cpu \
--trainer.check_val_every_n_epoch 3 --model.initial_policy null --model.policy.image_size 16 --model.policy.width 32 \
--data.reward sparse --data.value_model null --data.num_steps 4 --data.num_epochs 2 --data.num_minibatches 2 \
--data.num_eval_episodes 3 --data.env.image_size 16 --data.env.max_episode_steps 10"
# Imported once, for all starts.
USED = ("feat2go.cli.training", "feat2go.policies.tiny_vla", "feat2go.envs.tabletop.env", "torch.utils.tensorboard")
# Of an iteration of that: two epochs of two minibatches, and the files epoch=...ckpt and last.ckpt.
CALLS = {"rollout": 1, "update": 4, "checkpoint": 2}
PLACES = ("elsewhere", *CALLS)
OF_ENV = {
    "tabletop": "--data.env.num_envs 8 --data.env.image_size 32",
    "maniskill": "--data.env.num_envs 2 --data.env.num_workers 1",
}
CONFIGS = {"tabletop": "configs/ppo_tabletop.yaml", "maniskill": "configs/ppo_pushcube.yaml"}
# What depends on the clock.
TIMES = ("rollout/env_steps_per_s", "rollout/reward_share_of_time", "train/samples_per_s")


def words(env: str, processes: int, iterations: int, run_dir: Path) -> list[str]:
    """The command line of the training."""
    job = f"--run_dir {run_dir} --trainer.devices {processes} --trainer.max_epochs {iterations} --ckpt_path last"
    strategy = f"--trainer.strategy {'ddp' if processes > 1 else 'auto'}"
    return ["fit", "--config", str(ROOT / CONFIGS[env]), *f"{SMALL} {OF_ENV[env]} {job} {strategy}".split()]


@dataclass(frozen=True)
class Kill:
    """A moment to be killed at.

    Attributes:
        where: one of ``CALLS``.
        call: in which one of these since the start, from 1.
        share: how far into it, as a share of the time that the one before took.
    """

    where: str
    call: int
    share: float


def random_kill(moments: random.Random, where: str, most: int) -> Kill:
    """After at least one and at most ``most`` whole iterations."""
    num_whole = moments.randint(1, most)
    return Kill(where, num_whole * CALLS[where] + moments.randint(1, CALLS[where]), moments.random())


def watched(method: Callable[..., Any], where: str, place: Any, kill: Kill | None) -> Callable[..., Any]:
    """A method that notes when it is under way, and kills this process if it is time to."""
    num_calls, seconds = 0, 0.0

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal num_calls, seconds
        num_calls += 1
        place.value = PLACES.index(where)
        if kill is not None and (kill.where, kill.call) == (where, num_calls):
            threading.Timer(kill.share * seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        begin = time.perf_counter()
        result = method(*args, **kwargs)
        seconds = time.perf_counter() - begin
        place.value = PLACES.index("elsewhere")
        return result

    return run


def watch(place: Any, kill: Kill | None) -> None:
    """Note what this process is doing, and kill it."""
    from feat2go.training import PolicyModule, RolloutDataModule
    from feat2go.training.checkpoints import AtomicCheckpointIO

    methods = {
        "rollout": (RolloutDataModule, "_collect"),
        "update": (PolicyModule, "optimizer_step"),
        "checkpoint": (AtomicCheckpointIO, "save_checkpoint"),
    }
    for where, (cls, name) in methods.items():
        setattr(cls, name, watched(getattr(cls, name), where, place, kill))


def train(arguments: list[str], environment: dict[str, str], log: Path, place: Any, kill: Kill | None) -> None:
    """One process of the training."""
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    sys.argv = ["feat2go", *arguments]
    from feat2go.cli.main import main

    if place is not None:
        watch(place, kill)
    main(arguments)


class Training:
    """All processes of the training, as torchrun would start them. The first one is watched."""

    def __init__(self, context: Any, arguments: list[str], processes: int, log: Path, kill: Kill | None) -> None:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        job = {"WORLD_SIZE": processes, "MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "bench"}
        self._place = context.Value("i", 0, lock=False)
        self._processes = []
        for rank in range(processes):
            mine = {**job, "RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": processes, "GROUP_RANK": 0}
            environment = {name: str(value) for name, value in mine.items()} if processes > 1 else {}
            first = (self._place, kill) if rank == 0 else (None, None)
            self._processes.append(context.Process(target=train, args=(arguments, environment, log, *first)))
            self._processes[-1].start()

    def finish(self) -> str | None:
        """Wait for its end. Where it was killed, None if it was not.

        Raises:
            RuntimeError: if it failed.
        """
        first, *others = self._processes
        first.join()
        was_killed = first.exitcode == -signal.SIGKILL
        for process in others:
            if was_killed:
                process.kill()
            process.join()
        if not was_killed and any(process.exitcode for process in self._processes):
            raise RuntimeError("the training failed; see its log")
        return PLACES[self._place.value] if was_killed else None


def rows(run_dir: Path) -> list[dict[str, str]]:
    """The log, without what depends on the clock."""
    path = run_dir / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def iterations_done(run_dir: Path) -> tuple[int, int]:
    """By the checkpoint, and by the log."""
    # Every one of them can be read, whichever is the newest. What is half-written has a name that begins with a dot.
    files = [path for path in (run_dir / "checkpoints").glob("*.ckpt") if not path.name.startswith(".")]
    saved = {path.stem: read_checkpoint(path)["epoch"] + 1 for path in files}
    logged = [int(row["epoch"]) + 1 for row in rows(run_dir) if row.get("rollout/env_steps")]
    return saved.get("last", 0), max(logged, default=0)


def same_parameters(a: Path, b: Path) -> bool:
    """Of the policies that two runs left, bit by bit."""
    first, second = (load_file(run_dir / "policy" / "model.safetensors") for run_dir in (a, b))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def main() -> None:
    """Train, kill, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--env", choices=list(CONFIGS), default="tabletop")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5, help="that are killed")
    parser.add_argument("--kills", type=int, default=4, help="of each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*USED])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def start(run_dir: Path, kill: Kill | None = None) -> Training:
            line = words(arguments.env, arguments.processes, arguments.iterations, run_dir)
            return Training(context, line, arguments.processes, folder / "log.txt", kill)

        def killed(run: int) -> tuple[list[dict[str, Any]], dict[str, bool]]:
            run_dir = folder / f"killed{run}"
            kills = kill_again_and_again(start, run_dir, arguments, run)
            start(run_dir).finish()
            return kills, compare(folder / "whole", run_dir)

        try:
            start(folder / "whole").finish()
            with ThreadPoolExecutor(arguments.runs) as runs:
                outcomes = list(runs.map(killed, range(arguments.runs)))
        except RuntimeError:
            print((folder / "log.txt").read_text(), file=sys.stderr)
            raise
    kills = [kill for of_run, _ in outcomes for kill in of_run]
    result = {
        "fell": {place: sum(kill["fell"] == place for kill in kills) for place in PLACES},
        "checkpoints_lost": sum(kill["saved"] < kill["before"] for kill in kills),
        "iterations_lost_beyond_that_in_flight": sum(max(0, kill["logged"] - kill["saved"]) for kill in kills),
        "same_parameters": all(comparison["same_parameters"] for _, comparison in outcomes),
        "same_log": all(comparison["same_log"] for _, comparison in outcomes),
    }
    settings = {name: value for name, value in vars(arguments).items() if name not in ("output", "kills")}
    write(arguments.output, {**settings, **result, "kills": kills})
    print(result)


def kill_again_and_again(
    start: Callable[..., Training], run_dir: Path, arguments: argparse.Namespace, run: int
) -> list[dict[str, Any]]:
    """What each kill left."""
    moments = random.Random(f"{arguments.seed}/{run}")
    most = arguments.iterations // (arguments.kills + 1)
    kills: list[dict[str, Any]] = []
    for number in range(arguments.kills):
        before, _ = iterations_done(run_dir)
        aim = list(CALLS)[(run * arguments.kills + number) % len(CALLS)]
        fell = start(run_dir, random_kill(moments, aim, most)).finish()
        if fell is None:
            break
        saved, logged = iterations_done(run_dir)
        kills.append({"run": run, "aimed_at": aim, "fell": fell, "before": before, "saved": saved, "logged": logged})
        print(f"run {run}, kill {len(kills)}, in {fell}: {saved} iterations saved, {logged} logged", flush=True)
    return kills


def compare(whole: Path, killed: Path) -> dict[str, bool]:
    """Whether the end is the same, bit by bit."""
    return {"same_parameters": same_parameters(whole, killed), "same_log": rows(whole) == rows(killed)}


if __name__ == "__main__":
    main()
