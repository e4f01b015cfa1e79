"""Environment steps per second of whole PPO iterations, beside Stable-Baselines3 and TorchRL.

python benchmarks/end_to_end.py

One iteration is a rollout of the tabletop and the update on it. Environment, network, length of the rollout, epochs and
minibatches are those of configs/ppo_tabletop.yaml, with the reward of success, so that no value model takes part. All
libraries use the same network (tiny_vla, 256 tokens for each number of an action), Adam, a loss of the same terms and
as many threads, one after the other and then the other way round. feat2go runs as ``feat2go fit`` does, `PolicyModule`
and `RolloutDataModule` under a Lightning Trainer, without a logger, checkpoints or validation: once as it is, once
double-buffered, each half of the environments in a worker process, and once with ``trainer.devices: 2``, two processes
that share out the environments, the minibatches and the threads. The others have the environments in their process,
and once more in two worker processes, which step at the same time while their policy waits. The ratio is the median
over the rounds, to the faster of the other two in each.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import logging
import multiprocessing
import socket
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from peer_stable_baselines3 import StableBaselines3
from peer_torchrl import TorchRL
from peers import Workload
from record import ROOT, write

from feat2go.algorithms import PPO
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rewards import Sparse
from feat2go.training import PolicyModule, RolloutDataModule
from feat2go.training.unprofiled import Unprofiled

RESULT = Path(__file__).parent / "results" / "end_to_end.json"
PEERS = {"stable_baselines3": StableBaselines3, "torchrl": TorchRL}
IN_WORKERS = {"stable_baselines3_in_workers": StableBaselines3, "torchrl_in_workers": TorchRL}
OURS = ("feat2go", "feat2go_double_buffered", "feat2go_two_processes")


class Clock(Callback):
    """When each iteration was over."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.ends.append(time.perf_counter())


def feat2go_seconds(work: Workload, num_iterations: int, double_buffered: bool = False, devices: int = 1) -> float:
    """Of so many iterations, after one that doesn't count; ``work`` is that of one process."""
    torch.manual_seed(0)
    half = {"num_envs": work.env["num_envs"] // 2, "num_workers": 1}
    module = PolicyModule(
        policy=lambda: TinyVLA(**work.network),
        algorithm=PPO(
            gamma=work.gamma,
            lam=work.lam,
            clip_low=work.clip,
            clip_high=work.clip,
            value_coef=work.value_coef,
            entropy_coef=work.entropy_coef,
        ),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=work.lr),
    )
    data = RolloutDataModule(
        env=lambda: Tabletop(**{**work.env, **(half if double_buffered else {})}),
        reward=Sparse(),
        num_steps=work.num_steps,
        num_epochs=work.num_epochs,
        num_minibatches=work.num_minibatches,
        double_buffered=double_buffered,
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            accelerator="cpu",
            devices=devices,
            strategy="auto" if devices == 1 else "ddp",
            max_epochs=1 + num_iterations,
            gradient_clip_val=work.max_grad_norm,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=scratch,
            callbacks=[clock],
            profiler=Unprofiled(),
        )
        trainer.fit(module, datamodule=data)
    return clock.ends[-1] - clock.ends[0]


def two_process_seconds(work: Workload, num_iterations: int) -> float:
    """The same work in two processes, as torchrun would start them, each with half of the environments and threads."""
    half = replace(work, env={**work.env, "num_envs": work.env["num_envs"] // 2})
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    num_threads = max(1, torch.get_num_threads() // 2)
    processes = [
        context.Process(target=run_rank, args=(rank, port, half, num_iterations, num_threads, theirs))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    # Here, only the two processes hold it: if both fail, nothing is left to wait for.
    theirs.close()
    seconds: float = ours.recv()
    for process in processes:
        process.join()
    return seconds


def run_rank(rank: int, port: int, work: Workload, num_iterations: int, num_threads: int, answer: Any) -> None:
    """One of the two."""
    job = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
    address = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "benchmark"}
    os.environ.update({name: str(value) for name, value in {**job, **address}.items()})
    be_quiet()
    torch.set_num_threads(num_threads)
    seconds = feat2go_seconds(work, num_iterations, devices=2)
    if rank == 0:
        answer.send(seconds)


def be_quiet() -> None:
    """The figures are what is of interest."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning|torchrl|tensordict|stable_baselines3")


def peer_seconds(peer: Callable[[Workload], Any], work: Workload, num_iterations: int) -> float:
    """Of so many iterations, after one that doesn't count."""
    library = peer(work)
    library.run(1)
    seconds: float = library.run(num_iterations)
    library.close()
    return seconds


def workload(num_envs: int | None, num_steps: int | None) -> Workload:
    """Of the config; a rollout of another size where one is given."""
    config = yaml.safe_load((ROOT / "configs" / "ppo_tabletop.yaml").read_text())
    data, model = config["data"]["init_args"], config["model"]["init_args"]
    env = data["env"]["init_args"]
    return Workload(
        env={**env, "num_envs": num_envs or env["num_envs"]},
        network=model["policy"]["init_args"],
        num_steps=num_steps or data["num_steps"],
        num_epochs=data["num_epochs"],
        num_minibatches=data["num_minibatches"],
        lr=model["optimizer"]["init_args"]["lr"],
    )


def measure(work: Workload, names: Sequence[str], rounds: int, num_iterations: int) -> dict[str, list[float]]:
    """Of these libraries: steps per second in each round."""
    ours: tuple[Callable[[], float], ...] = (
        lambda: feat2go_seconds(work, num_iterations),
        lambda: feat2go_seconds(work, num_iterations, double_buffered=True),
        lambda: two_process_seconds(work, num_iterations),
    )
    runs = dict(zip(OURS, ours, strict=True))
    runs |= {name: lambda peer=peer: peer_seconds(peer, work, num_iterations) for name, peer in PEERS.items()}
    workers = replace(work, env={**work.env, "num_workers": 2})
    runs |= {name: lambda peer=peer: peer_seconds(peer, workers, num_iterations) for name, peer in IN_WORKERS.items()}
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            rates[name].append(num_iterations * work.num_rows / runs[name]())
            print(f"round {number + 1}: {name} {rates[name][-1]:,.0f} steps/s", flush=True)
    return rates


def ratio(rates: dict[str, list[float]], name: str, peers: Iterable[str] = tuple(PEERS)) -> float:
    """To the fastest of these others, the median over the rounds."""
    fastest = [max(pair) for pair in zip(*(rates[peer] for peer in peers), strict=True)]
    return statistics.median(own / other for own, other in zip(rates[name], fastest, strict=True))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=3, help="that count, of each library in each round")
    parser.add_argument("--num-threads", type=int, default=os.cpu_count(), help="of PyTorch, for all")
    parser.add_argument("--num-envs", type=int, help="in place of the config's")
    parser.add_argument("--num-steps", type=int, help="actions of a rollout, in place of the config's")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.num_threads)
    be_quiet()

    work = workload(arguments.num_envs, arguments.num_steps)
    rates = measure(work, (*OURS, *PEERS, *IN_WORKERS), arguments.rounds, arguments.iterations)
    result = {
        "env": "tabletop",
        "num_envs": work.env["num_envs"],
        "image_size": work.env["image_size"],
        "network": {"name": "tiny_vla", **work.network},
        "num_steps": work.num_steps,
        "num_epochs": work.num_epochs,
        "batch_size": work.batch_size,
        "num_threads": arguments.num_threads,
        "iterations": arguments.iterations,
        "steps_per_s": {name: [round(rate, 1) for rate in values] for name, values in rates.items()},
        "over_the_faster_peer": {name: round(ratio(rates, name), 3) for name in OURS},
        "over_the_faster_peer_in_workers": {name: round(ratio(rates, name, IN_WORKERS), 3) for name in OURS},
        "peers": {name: version(name.replace("_", "-")) for name in PEERS},
    }
    write(arguments.output, result)
    for key in ("over_the_faster_peer", "over_the_faster_peer_in_workers"):
        print(key.replace("_", " ") + ": " + ", ".join(f"{name} {value}" for name, value in result[key].items()))


if __name__ == "__main__":
    main()
