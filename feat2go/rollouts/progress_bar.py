"""How far a long loop is: a bar on a terminal, plain lines elsewhere, both on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

NUM_LINES = 10

Update = Callable[[int, str], None]


@contextmanager
def progress_bar(title: str, total: int, enabled: bool = True) -> Iterator[Update]:
    """A function that takes how many of ``total`` are done now, and a note. It shows nothing unless ``enabled``."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, quiet=not enabled)
    if not console.is_terminal:
        yield _lines(console, title, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)


def _lines(console: Console, title: str, total: int) -> Update:
    """A line for every tenth of the way that is behind."""
    shown = -1

    def update(done: int, note: str) -> None:
        nonlocal shown
        tenth = done * NUM_LINES // max(total, 1)
        if tenth > shown:
            shown = tenth
            console.print(f"{title}: {done}/{total} {note}".rstrip(), markup=False)

    return update
