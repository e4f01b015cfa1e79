"""Worker processes that share the environments among them, and what happens when one dies."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from feat2go.envs.workers.frames import Flags, Frames, shared_memory
from feat2go.envs.workers.process import WorkerDiedError, WorkerProcess, WorkerProgram

log = logging.getLogger(__name__)

_MAX_RESTARTS_IN_A_ROW = 3


class Sizes(Protocol):
    """What a worker answers when it has started."""

    @property
    def action_dim(self) -> int: ...

    @property
    def state_dim(self) -> int: ...

    @property
    def cameras(self) -> tuple[str, ...]: ...


class WorkerPool:
    """N environments in worker processes.

    A worker that dies is replaced, and each of its running episodes starts again from its own seed: its actions of
    that step count as not carried out.

    Args:
        program: what the workers run.
        assign: from its first row and its number of rows to what a worker is sent first.
        num_envs: N.
        num_workers: processes.
        image_size: side of the pictures in pixels.

    Attributes:
        info: sizes of the simulations, as a worker gave them.
        frames: what the environments show, in shared memory.
        workers: the processes.
    """

    def __init__(
        self,
        program: WorkerProgram,
        assign: Callable[[int, int], Any],
        num_envs: int,
        num_workers: int,
        image_size: int,
    ) -> None:
        self._program = program
        self._memory = shared_memory()
        bounds = np.linspace(0, num_envs, num_workers + 1).astype(int).tolist()
        self.workers = [
            WorkerProcess(program, slice(first, last), assign(first, last - first), self._memory.fileno())
            for first, last in itertools.pairwise(bounds)
        ]
        try:
            infos = [worker.receive_sizes() for worker in self.workers]
        except Exception:
            self.close()
            raise
        self.info: Any = infos[0]
        sizes: Sizes = infos[0]
        self._action_dim = sizes.action_dim
        self.frames = Frames.mapped(self._memory.fileno(), num_envs, len(sizes.cameras), image_size, sizes.state_dim)
        # The seed of the running episode; None where it has ended.
        self._seeds: list[int | None] = [None] * num_envs

    def reset(self, seeds: Sequence[int]) -> None:
        """Start a new episode everywhere."""
        self._seeds = [int(seed) for seed in seeds]
        answers = self._ask("reset", [(self._seeds[worker.rows],) for worker in self.workers])
        for worker, answer in zip(self.workers, answers, strict=True):
            if isinstance(answer, WorkerDiedError):
                self._replace(worker)

    def step(self, actions: np.ndarray, next_seeds: Sequence[int] | None, terminate_on_success: bool) -> Flags:
        """Carry out float32 (N, C, A), as ``VectorEnv.step`` says."""
        return self.begin_step(actions, next_seeds, terminate_on_success)()

    def begin_step(
        self, actions: np.ndarray, next_seeds: Sequence[int] | None, terminate_on_success: bool
    ) -> Callable[[], Flags]:
        """Have :meth:`step` begin; what is returned waits for its end, which must come before another command."""
        arguments = [
            (actions[worker.rows], None if next_seeds is None else next_seeds[worker.rows], terminate_on_success)
            for worker in self.workers
        ]
        is_sent = self._send("step", arguments)

        def end_step() -> Flags:
            parts = []
            for worker, answer in zip(self.workers, self._receive(is_sent), strict=True):
                if isinstance(answer, WorkerDiedError):
                    self._replace(worker)
                    answer = Flags.empty(*actions[worker.rows].shape[:2])
                else:
                    worker.num_restarts = 0
                parts.append(answer)
            flags = Flags.concat(parts)
            for row in flags.ended_rows:
                self._seeds[row] = None if next_seeds is None else int(next_seeds[row])
            return flags

        return end_step

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None:
        """Bring back running episodes from their actions so far.

        Raises:
            RuntimeError: if a worker dies meanwhile.
        """
        self._seeds = [int(seed) for seed in seeds]
        arguments = [(self._seeds[worker.rows], actions[worker.rows]) for worker in self.workers]
        if any(isinstance(answer, WorkerDiedError) for answer in self._ask("restore", arguments)):
            raise RuntimeError(
                f"a {self._program.name} worker process died while it brought back the episodes of a checkpoint"
            )

    def expert_actions(self) -> np.ndarray:
        """float32 (N, A). Of a dead worker: zeros; the next step replaces it."""
        answers = self._ask("expert_actions", [() for _ in self.workers])
        return np.concatenate(
            [
                np.zeros((len(self._seeds[worker.rows]), self._action_dim), np.float32)
                if isinstance(answer, WorkerDiedError)
                else answer
                for worker, answer in zip(self.workers, answers, strict=True)
            ]
        )

    def close(self) -> None:
        """End the processes. May be called twice."""
        for worker in self.workers:
            worker.close()
        self.workers = []
        self._memory.close()

    def _ask(self, command: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Every worker's answer; in place of a dead one's, the error."""
        return self._receive(self._send(command, arguments))

    def _send(self, command: str, arguments: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Which of the workers could be asked."""
        is_sent = []
        for worker, of_worker in zip(self.workers, arguments, strict=True):
            try:
                worker.send(command, *of_worker)
            except WorkerDiedError:
                is_sent.append(False)
            else:
                is_sent.append(True)
        return is_sent

    def _receive(self, is_sent: Sequence[bool]) -> list[Any]:
        answers: list[Any] = []
        for worker, was_asked in zip(self.workers, is_sent, strict=True):
            try:
                answers.append(worker.receive() if was_asked else WorkerDiedError())
            except WorkerDiedError as died:
                answers.append(died)
        return answers

    def _replace(self, worker: WorkerProcess) -> None:
        """A new process, whose running episodes start again.

        Raises:
            RuntimeError: if it keeps dying.
        """
        seeds = self._seeds[worker.rows]
        log.warning(
            "A %s worker process (pid %d) died with exit code %s. It is started anew, and the episodes with "
            "seeds %s are discarded and start again.",
            self._program.name,
            worker.pid,
            worker.exit_code(),
            [seed for seed in seeds if seed is not None],
        )
        if worker.num_restarts >= _MAX_RESTARTS_IN_A_ROW:
            raise RuntimeError(
                f"a {self._program.name} worker process died {worker.num_restarts + 1} times in a row, with seeds "
                f"{seeds}; {self._program.memory_advice}"
            )
        worker.restart()
        worker.receive_sizes()
        try:
            worker.send("reset", seeds)
            worker.receive()
        except WorkerDiedError:
            self._replace(worker)
