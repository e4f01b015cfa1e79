"""One worker process, seen from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

_EXIT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class WorkerProgram:
    """What worker processes run.

    Attributes:
        module: started as ``python -m MODULE CONNECTION MEMORY``, two file descriptors; it calls ``serve.serve``.
        name: of the simulator, for messages.
        startup_advice, memory_advice: for messages: what to do if one dies when it starts, or keeps dying.
        environment: further variables.
    """

    module: str
    name: str
    startup_advice: str
    memory_advice: str
    environment: Mapping[str, str] = field(default_factory=dict)


class WorkerDiedError(Exception):
    """The process is gone."""


class WorkerProcess:
    """A process that answers commands for some rows.

    It is a program of its own rather than a ``multiprocessing.Process``: that would import the user's script again, and
    a fork would inherit its threads. Its standard input is empty, so that nothing can ask the user a question.

    Args:
        program: what it runs.
        rows: which of the environments are its own.
        assignment: what it is sent first; it answers with its sizes.
        memory: file descriptor of the memory that it shares.
    """

    def __init__(self, program: WorkerProgram, rows: slice, assignment: Any, memory: int) -> None:
        self.rows = rows
        self.num_restarts = 0
        self._program = program
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

    def receive_sizes(self) -> Any:
        """The first answer after a start.

        Raises:
            RuntimeError: if the process died before it gave one.
        """
        try:
            return self.receive()
        except WorkerDiedError as died:
            raise RuntimeError(
                f"a {self._program.name} worker process died while it started (exit code {self.exit_code()}); "
                f"{self._program.startup_advice}"
            ) from died

    def exit_code(self) -> int | None:
        """How the process ended: minus the signal that killed it."""
        try:
            return self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None

    def restart(self) -> None:
        """A new process in place of this one; it answers with its sizes first."""
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
        environment = dict(os.environ, OMP_NUM_THREADS="1", **self._program.environment)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._program.module, str(theirs.fileno()), str(self._memory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._memory),
                # Ctrl-C reaches a whole process group; what it means is for the main process to say.
                start_new_session=True,
                env=environment,
            )
        self._connection.send(self._assignment)
