"""Work on the entries of a sequence that overlaps in time, in the order of the entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Entry = TypeVar("Entry")
Result = TypeVar("Result")


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


def one_behind(function: Callable[[Entry], Result], entries: Iterable[Entry]) -> Iterator[Result]:
    """What ``map`` gives. The function runs in a thread, on one entry while the next is asked for.

    The entries are made in the caller's thread. The function's has one thread of PyTorch: threads wait for one another
    actively, and two sets of them would keep each other from running. An error of the function appears in the place of
    its result, after the next entry has been asked for.
    """
    num_threads = torch.get_num_threads()
    with ThreadPoolExecutor(1, "behind", torch.set_num_threads, (1,)) as thread:
        coming: Future[Result] | None = None
        try:
            for entry in entries:
                if coming is not None:
                    yield coming.result()
                coming = thread.submit(function, entry)
            if coming is not None:
                yield coming.result()
        finally:
            # Each thread has its own number, but a later one starts with what was set last.
            torch.set_num_threads(num_threads)
