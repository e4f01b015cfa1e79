"""The next entry is computed while the one before is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Entry = TypeVar("Entry")


def one_ahead(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries in the same order, each asked for in a thread as soon as the one before it is handed out.

    An error appears in the place of the entry that it prevented.
    """
    source, end = iter(entries), object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, source, end)
        while (entry := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield entry  # type: ignore[misc]
