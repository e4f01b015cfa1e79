"""Writing so that a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import functools
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def home() -> Path:
    """Where weights and caches live: ``$FEAT2GO_HOME``, by default ``~/.cache/feat2go``."""
    return Path(os.environ.get("FEAT2GO_HOME") or Path.home() / ".cache" / "feat2go")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, beside ``path``, that replaces it if the block succeeds and vanishes if it doesn't.

    What killed processes left half-written in that folder is removed, once per process.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent)
    # The suffix is kept: some writers choose the format by it. The host, because a folder may be shared.
    partial = target.with_name(f".{target.stem}.{socket.gethostname()}.{os.getpid()}.partial{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@functools.cache
def _remove_leftovers(folder: Path) -> None:
    ours = re.compile(rf".*\.{re.escape(socket.gethostname())}\.(\d+)\.partial[^/]*")
    for leftover in folder.glob(".*.partial*"):
        name = ours.fullmatch(leftover.name)
        if name and not _is_running(int(name[1])):
            leftover.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Somebody else's.
        return True
    return True
