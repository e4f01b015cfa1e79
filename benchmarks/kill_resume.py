"""A training that is killed at random again and again, and goes on: what is lost, and whether the end is the same.

python benchmarks/kill_resume.py --output benchmarks/results/kill_resume_tabletop.json
python benchmarks/kill_resume.py --env maniskill --kills 5 --output benchmarks/results/kill_resume_maniskill.json

First the training runs in one go. Then the same training is killed with SIGKILL, all of its processes at once, at
random moments from its start on: in rollouts, updates and checkpoints as they fall. After each kill the checkpoint is
read, and the training goes on with ``--ckpt_path last``. In the end, parameters and logged metrics are compared bit by
bit.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import torch
from record import ROOT, write
from safetensors.torch import load_file

from feat2go.training.checkpoints import read_checkpoint

# A small training from each config: no value model, no start, and episodes longer than a rollout.
SMALL = "--trainer.enable_progress_bar false --trainer.enable_model_summary false --trainer.accelerator cpu \
--trainer.check_val_every_n_epoch 3 --model.initial_policy null --model.policy.image_size 16 --model.policy.width 32 \
--data.reward sparse --data.value_model null --data.num_steps 4 --data.num_epochs 2 --data.num_minibatches 2 \
--data.num_eval_episodes 3 --data.env.image_size 16 --data.env.max_episode_steps 10"
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


def train(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """One process of the training."""
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    sys.argv = ["feat2go", *arguments]
    from feat2go.cli.main import main

    main(arguments)


class Training:
    """All processes of the training, as torchrun would start them."""

    def __init__(self, context: Any, arguments: list[str], processes: int, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        job = {"WORLD_SIZE": processes, "MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "bench"}
        self.processes = []
        for rank in range(processes):
            mine = {**job, "RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": processes, "GROUP_RANK": 0}
            environment = {name: str(value) for name, value in mine.items()} if processes > 1 else {}
            self.processes.append(context.Process(target=train, args=(arguments, environment, log)))
            self.processes[-1].start()

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            RuntimeError: if it failed.
        """
        for process in self.processes:
            process.join()
        if any(process.exitcode for process in self.processes):
            raise RuntimeError("the training failed; see its log")

    def kill(self) -> bool:
        """Whether it was still running."""
        was_running = all(process.is_alive() for process in self.processes)
        for process in self.processes:
            process.kill()
            process.join()
        return was_running


def rows(run_dir: Path) -> list[dict[str, str]]:
    """The log, without what depends on the clock."""
    path = run_dir / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def iterations_done(run_dir: Path) -> tuple[int, int]:
    """By the checkpoint, and by the log."""
    last = run_dir / "checkpoints" / "last.ckpt"
    logged = [int(row["epoch"]) + 1 for row in rows(run_dir) if row.get("rollout/env_steps")]
    return (read_checkpoint(last)["epoch"] + 1 if last.is_file() else 0), max(logged, default=0)


def same_parameters(a: Path, b: Path) -> bool:
    """Of the policies that two runs left, bit by bit."""
    first, second = (load_file(run_dir / "policy" / "model.safetensors") for run_dir in (a, b))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def main() -> None:
    """Train, kill, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--env", choices=list(CONFIGS), default="tabletop")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["feat2go.cli.training", "feat2go.policies.tiny_vla"])
    moments = random.Random(arguments.seed)

    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch) / "whole", Path(scratch) / "killed"

        def start(run_dir: Path) -> Training:
            line = words(arguments.env, arguments.processes, arguments.iterations, run_dir)
            return Training(context, line, arguments.processes, Path(scratch) / "log.txt")

        begin = time.perf_counter()
        try:
            start(whole).finish()
            seconds = time.perf_counter() - begin
            kills = []
            while len(kills) < arguments.kills:
                before, _ = iterations_done(killed)
                training = start(killed)
                after_s = moments.uniform(0.02, 0.5) * seconds
                time.sleep(after_s)
                if not training.kill():
                    break
                saved, logged = iterations_done(killed)
                kills.append({"after_s": round(after_s, 2), "before": before, "saved": saved, "logged": logged})
                print(f"kill {len(kills)}: {saved} iterations saved, {logged} logged", flush=True)
            start(killed).finish()
        except RuntimeError:
            print((Path(scratch) / "log.txt").read_text(), file=sys.stderr)
            raise
        log_whole, log_killed = rows(whole), rows(killed)
        result = {
            "kills": kills,
            "checkpoints_lost": sum(kill["saved"] < kill["before"] for kill in kills),
            "iterations_lost_beyond_that_in_flight": sum(max(0, kill["logged"] - kill["saved"]) for kill in kills),
            "same_parameters": same_parameters(whole, killed),
            "same_log": log_whole == log_killed,
            "log_rows_missing": sum(row not in log_killed for row in log_whole),
        }
    settings = {name: value for name, value in vars(arguments).items() if name not in ("output", "kills")}
    write(arguments.output, {**settings, **result})
    print({name: value for name, value in result.items() if name != "kills"})


if __name__ == "__main__":
    main()
