"""Several ways to do the same work, timed in turns, so that a busy machine slows them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass
class Clock:
    """Seconds of a piece of work, each time that it was done.

    Attributes:
        wall: by the clock on the wall.
        processor: of all threads of this process; what others do on the machine hardly moves it.
    """

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    _start: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """Begin."""
        self._start = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """End, and note how long it took."""
        self.wall.append(time.perf_counter() - self._start[0])
        self.processor.append(time.process_time() - self._start[1])

    @contextmanager
    def running(self) -> Iterator[None]:
        """From start to stop."""
        self.start()
        yield
        self.stop()

    def to_json(self) -> dict[str, list[float]]:
        """Both lists, rounded."""
        return {"wall_s": [round(s, 5) for s in self.wall], "processor_s": [round(s, 5) for s in self.processor]}


def in_turns(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Clock]:
    """A B A B ..., after one turn of each that does not count."""
    clocks = {name: Clock() for name in ways}
    for work in ways.values():
        work()
    for _ in range(repeats):
        for name, work in ways.items():
            with clocks[name].running():
                work()
    return clocks


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the ratios of neighbouring turns.

    Raises:
        ValueError: if the two have different numbers of turns, or none.
    """
    if len(over) != len(under) or not over:
        raise ValueError(f"expected as many turns of the one as of the other; got {len(over)} and {len(under)}")
    return median(a / b for a, b in zip(over, under, strict=True))


def relative_speed(ours: Clock, bare: Clock) -> dict[str, float]:
    """How fast ``ours`` is in units of ``bare``, for the same work: by the wall's clock, and the processor's."""
    return {
        "ratio": round(median_ratio(bare.wall, ours.wall), 4),
        "processor_ratio": round(median_ratio(bare.processor, ours.processor), 4),
    }
