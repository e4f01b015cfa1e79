"""Worker processes that share the environments among them, and what happens when one dies."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from feat2go.envs.maniskill import shared
from feat2go.envs.maniskill.config import Assignment, SimulationConfig, SimulationInfo
from feat2go.envs.maniskill.episodes import Flags, Frames

log = logging.getLogger(__name__)

_MAX_RESTARTS_IN_A_ROW = 3
_EXIT_TIMEOUT_S = 5.0


class WorkerDiedError(Exception):
    """The process is gone."""


class WorkerProcess:
    """One worker process, seen from outside.

    It is a program of its own rather than a ``multiprocessing.Process``: that would import the user's script again, and
    a fork would inherit its threads. Its standard input is empty, so that nothing can ask the user a question.
    """

    def __init__(self, assignment: Assignment, memory: int) -> None:
        self.rows = slice(assignment.first_row, assignment.first_row + assignment.num_rows)
        self.num_restarts = 0
        self._assignment = assignment
        self._memory = memory
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, command: str, *arguments: Any) -> None:
        """Ask for something.

        Raises:
            WorkerDiedError: if nobody is there.
        """
        try:
            self._connection.send((command, arguments))
        except OSError as error:
            raise WorkerDiedError from error

    def receive(self) -> Any:
        """The answer.

        Raises:
            WorkerDiedError: if the process died before it answered.
        """
        try:
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDiedError from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def exit_code(self) -> int | None:
        """How the process ended: minus the signal that killed it."""
        try:
            return self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None

    def restart(self) -> None:
        """A new process in place of this one; it answers with its ``SimulationInfo`` first."""
        self.close()
        self.num_restarts += 1
        self._start()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        if self.exit_code() is None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        environment = dict(os.environ, LP_NUM_THREADS="0", OMP_NUM_THREADS="1")
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "feat2go.envs.maniskill.worker", str(theirs.fileno()), str(self._memory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._memory),
                # Ctrl-C reaches a whole process group; what it means is for the main process to say.
                start_new_session=True,
                env=environment,
            )
        self._connection.send(self._assignment)


class WorkerPool:
    """N environments in worker processes.

    A worker that dies is replaced, and each of its running episodes starts again from its own seed: its actions of
    that step count as not carried out.

    Attributes:
        info: sizes of the simulations.
        frames: what the environments show, in shared memory.
        workers: the processes.
    """

    def __init__(self, config: SimulationConfig, num_envs: int, num_workers: int) -> None:
        self._memory = shared.create()
        bounds = np.linspace(0, num_envs, num_workers + 1).astype(int).tolist()
        self.workers = [
            WorkerProcess(Assignment(config, num_envs, first, last - first), self._memory.fileno())
            for first, last in itertools.pairwise(bounds)
        ]
        try:
            infos = [_await_start(worker) for worker in self.workers]
        except Exception:
            self.close()
            raise
        self.info: SimulationInfo = infos[0]
        self.frames: Frames = shared.map_frames(self._memory.fileno(), num_envs, config.image_size, self.info)
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
        arguments = [
            (actions[worker.rows], None if next_seeds is None else next_seeds[worker.rows], terminate_on_success)
            for worker in self.workers
        ]
        parts = []
        for worker, answer in zip(self.workers, self._ask("step", arguments), strict=True):
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

    def restore(self, seeds: Sequence[int], actions: Sequence[np.ndarray]) -> None:
        """Bring back running episodes from their actions so far.

        Raises:
            RuntimeError: if a worker dies meanwhile.
        """
        self._seeds = [int(seed) for seed in seeds]
        arguments = [(self._seeds[worker.rows], actions[worker.rows]) for worker in self.workers]
        if any(isinstance(answer, WorkerDiedError) for answer in self._ask("restore", arguments)):
            raise RuntimeError("a ManiSkill worker process died while it brought back the episodes of a checkpoint")

    def expert_actions(self) -> np.ndarray:
        """float32 (N, A). Of a dead worker: zeros; the next step replaces it."""
        answers = self._ask("expert_actions", [() for _ in self.workers])
        return np.concatenate(
            [
                np.zeros((len(self._seeds[worker.rows]), self.info.action_dim), np.float32)
                if isinstance(answer, WorkerDiedError)
                else answer
                for worker, answer in zip(self.workers, answers, strict=True)
            ]
        )

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.close()
        self.workers = []
        self._memory.close()

    def _ask(self, command: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Every worker's answer; in place of a dead one's, the error."""
        answers: list[Any] = [None] * len(self.workers)
        for i, worker in enumerate(self.workers):
            try:
                worker.send(command, *arguments[i])
            except WorkerDiedError as died:
                answers[i] = died
        for i, worker in enumerate(self.workers):
            if answers[i] is not None:
                continue
            try:
                answers[i] = worker.receive()
            except WorkerDiedError as died:
                answers[i] = died
        return answers

    def _replace(self, worker: WorkerProcess) -> None:
        """A new process, whose running episodes start again.

        Raises:
            RuntimeError: if it keeps dying.
        """
        seeds = self._seeds[worker.rows]
        log.warning(
            "A ManiSkill worker process (pid %d) died with exit code %s. It is started anew, and the episodes with "
            "seeds %s are discarded and start again.",
            worker.pid,
            worker.exit_code(),
            [seed for seed in seeds if seed is not None],
        )
        if worker.num_restarts >= _MAX_RESTARTS_IN_A_ROW:
            raise RuntimeError(
                f"a ManiSkill worker process died {worker.num_restarts + 1} times in a row, with seeds {seeds}; "
                "is there enough memory? Each worker needs about 0.7 GB"
            )
        worker.restart()
        _await_start(worker)
        try:
            worker.send("reset", seeds)
            worker.receive()
        except WorkerDiedError:
            self._replace(worker)


def _await_start(worker: WorkerProcess) -> SimulationInfo:
    try:
        info: SimulationInfo = worker.receive()
    except WorkerDiedError as died:
        raise RuntimeError(
            f"a ManiSkill worker process died while it started (exit code {worker.exit_code()}); "
            "`feat2go doctor` looks for the reason"
        ) from died
    return info
