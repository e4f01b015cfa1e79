"""Whether the processes of a job can train together: what ``feat2go doctor --distributed`` tells."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from feat2go.core.distributed import gather, global_sum
from feat2go.core.seeding import generator, rollout_seeds
from feat2go.training.checkpoints import AtomicCheckpointIO, read_checkpoint
from feat2go.training.strategies import full_state, register_strategies, shard, unsharded

_NUM_STEPS = 3
_NUM_SEEDS = 100
_EXCHANGED_MB = 64


@dataclass(frozen=True)
class ProcessCheck:
    """One thing that was tried.

    Attributes:
        name: what.
        ok: whether it went as it should.
        detail: what was seen.
    """

    name: str
    ok: bool
    detail: str


def check_processes(accelerator: str, devices: str, num_nodes: int, folder: Path) -> list[ProcessCheck]:
    """Train a small network with ``ddp`` and ``fsdp2``, and try what training relies on. Every process must call.

    Args:
        accelerator: as for ``feat2go fit``.
        devices: likewise.
        num_nodes: likewise.
        folder: that all processes see, such as the one for runs; gets a file that is removed again.
    """
    register_strategies()
    checks: list[ProcessCheck] = []
    weights: dict[str, Tensor] = {}
    for strategy in ("ddp", "fsdp2"):
        probe = _Probe(folder / f".doctor-{strategy}.ckpt")
        trainer = Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            strategy=strategy,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[AtomicCheckpointIO()],
        )
        trainer.fit(probe)
        known = {check.name for check in checks}
        checks += [check for check in probe.checks if check.name not in known]
        weights[strategy] = probe.weight
    if trainer.is_global_zero:
        difference = float((weights["ddp"] - weights["fsdp2"]).abs().max())
        checks.append(
            ProcessCheck("same result", difference < 1e-5, f"ddp and fsdp2 differ by at most {difference:.1e}")
        )
    return checks


class _Network(nn.Module):
    """Stands for a policy."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = nn.Linear(16, 32), nn.Linear(32, 4)

    def evaluate(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.hidden(inputs).tanh())
        return outputs

    def act(self, inputs: Tensor) -> Tensor:
        return self.evaluate(inputs)

    def shard_units(self) -> list[nn.Module]:
        return [self.hidden]


class _Batches:
    """Another one in every process and step."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __len__(self) -> int:
        return _NUM_STEPS

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(_NUM_STEPS):
            yield torch.randn(8, 16, generator=generator("doctor", self.rank, step))


class _Probe(LightningModule):
    """Trains the network and looks around."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.checks: list[ProcessCheck] = []
        self.weight = torch.empty(0)
        self._path = path
        self._network: Any = None

    def configure_model(self) -> None:
        if self._network is None:
            torch.manual_seed(0)
            self._network = _Network()
            if self.device_mesh is not None:
                shard(self._network, self.device_mesh)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self._network.parameters(), lr=1e-2)

    def train_dataloader(self) -> _Batches:
        return _Batches(self.global_rank)

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        loss: Tensor = self._network.evaluate(batch).square().mean()
        return loss

    def on_train_start(self) -> None:
        size = self.trainer.world_size
        places = gather((socket.gethostname(), str(self.device)))
        hosts = sorted({host for host, _ in places})
        self._note("processes", len(places) == size, f"{size} on {len(hosts)} machine(s): {', '.join(hosts)}")
        is_shared = any(device.startswith("cuda") for _, device in places) and len(set(places)) < size
        self._note("devices", not is_shared, ", ".join(f"{host} {device}" for host, device in places))
        ranks = int(global_sum(torch.tensor(float(self.global_rank))))
        self._note("exchange", ranks == size * (size - 1) // 2, self._speed())
        seeds = rollout_seeds(0, self.global_rank, size)
        played = [seed for mine in gather([next(seeds) for _ in range(_NUM_SEEDS)]) for seed in mine]
        self._note("episodes", len(set(played)) == len(played), f"the first {len(played)} are all different")

    def on_train_end(self) -> None:
        strategy = "fsdp2" if self.device_mesh is not None else "ddp"
        with unsharded(self._network), torch.no_grad():
            # Processes whose episodes are longer ask the policy more often.
            for _ in range(1 + self.global_rank):
                self._network.act(torch.ones(1, 16, device=self.device))
        state = full_state(self._network)
        self.weight = state.get("hidden.weight", self.weight).detach().cpu().clone()
        norms = gather(float(sum(p.detach().square().sum() for p in state.values())) if state else None)
        known = [norm for norm in norms if norm is not None]
        is_same = max(known) - min(known) <= 1e-5 * max(known)
        self._note(f"{strategy} training", is_same, f"{_NUM_STEPS} steps; uneven numbers of forward passes are fine")
        self._check_checkpoint(strategy)

    def _check_checkpoint(self, strategy: str) -> None:
        self.trainer.save_checkpoint(self._path)
        can_read = "state_dict" in read_checkpoint(self._path) if self._path.is_file() else False
        readers = gather(can_read)
        detail = f"{sum(readers)} of {len(readers)} processes can read what the first one wrote to {self._path.parent}"
        self._note(f"{strategy} checkpoint", all(readers), detail)
        self.trainer.strategy.barrier()
        if self.trainer.is_global_zero:
            self._path.unlink()

    def _speed(self) -> str:
        if not dist.is_initialized():
            return "one process, nothing to exchange"
        numbers = torch.ones(_EXCHANGED_MB * 2**20 // 4, device=self.device)
        dist.all_reduce(numbers)
        start = time.perf_counter()
        dist.all_reduce(numbers)
        seconds = float(numbers[0] * 0) + time.perf_counter() - start
        return f"{dist.get_backend()}, {_EXCHANGED_MB} MB summed in {seconds * 1e3:.0f} ms"

    def _note(self, name: str, ok: bool, detail: str) -> None:
        self.checks.append(ProcessCheck(name, ok, detail))
