"""Writing so that a reader sees the old file or the new one, never half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def home() -> Path:
    """Where weights and caches live: ``$FEAT2GO_HOME``, by default ``~/.cache/feat2go``."""
    return Path(os.environ.get("FEAT2GO_HOME") or Path.home() / ".cache" / "feat2go")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, beside ``path``, that replaces it if the block succeeds and vanishes if it doesn't."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept: some writers choose the format by it.
    partial = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
