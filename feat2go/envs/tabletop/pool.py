"""The tabletop's worker processes."""

from __future__ import annotations

from dataclasses import dataclass

from feat2go.envs.tabletop.tables import TableSettings
from feat2go.envs.workers.pool import WorkerPool
from feat2go.envs.workers.process import WorkerProgram

PROGRAM = WorkerProgram(
    module="feat2go.envs.tabletop.worker",
    name="tabletop",
    startup_advice="what it wrote before says why",
    memory_advice="is there enough memory? Each worker needs about 0.1 GB",
)


@dataclass(frozen=True)
class Assignment:
    """Which of the N tables one worker process runs."""

    settings: TableSettings
    num_envs: int
    first_row: int
    num_rows: int


def worker_pool(settings: TableSettings, num_envs: int, num_workers: int) -> WorkerPool:
    """N tables in so many processes."""
    return WorkerPool(
        PROGRAM,
        lambda first_row, num_rows: Assignment(settings, num_envs, first_row, num_rows),
        num_envs,
        num_workers,
        settings.image_size,
    )
