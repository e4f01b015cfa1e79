"""The inside of a worker process."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def serve(build: Callable[[Any, int], Any], name: str, errors: tuple[type[Exception], ...]) -> None:
    """Build simulations, say what they are like, then answer commands until the other end is gone. Does not return.

    Args:
        build: from what was sent first, and the file descriptor of the shared memory, to an object whose methods are
            the commands and whose ``info`` is the first answer.
        name: of the simulator, for messages.
        errors: that say by themselves what to do; others are sent with where they come from.
    """
    connection, memory = Connection(int(sys.argv[1])), int(sys.argv[2])
    try:
        worker = build(connection.recv(), memory)
        connection.send(worker.info)
        while True:
            command, arguments = connection.recv()
            connection.send(getattr(worker, command)(*arguments))
    except (EOFError, ConnectionError):
        # The main process is gone, in the middle of an answer perhaps.
        pass
    except errors as error:
        connection.send(error)
    except Exception:
        connection.send(RuntimeError(f"a {name} worker process failed:\n{traceback.format_exc()}"))
    # Nothing is left to save, and taking a renderer apart takes seconds.
    os._exit(0)
