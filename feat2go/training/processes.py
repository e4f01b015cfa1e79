"""What one process of a job does when another one has gone."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist

_INTERVAL_S = 2.0


def watch_parent() -> None:
    """End this process when the one that started it is gone, if it is one of several on this machine.

    Lightning's first process ends the others when one of them dies, but if it is killed itself they would wait for it
    in the next exchange, for up to half an hour, and hold their GPUs.
    """
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_INTERVAL_S)
        sys.stderr.write(f"feat2go: the first process ({parent}) of this job has ended, so this one ends too\n")
        os._exit(1)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


@contextmanager
def naming_lost_processes() -> Iterator[None]:
    """Say it in a sentence when an exchange failed because another process has ended.

    Raises:
        ConnectionError: in place of the backend's own error.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise ConnectionError(
            "another process of this job has ended, see its own message above; go on with `--ckpt_path last` "
            f"({str(error).splitlines()[0]})"
        ) from error
