"""ManiSkill's worker processes."""

from __future__ import annotations

from feat2go.envs.maniskill.config import Assignment, SimulationConfig
from feat2go.envs.workers.pool import WorkerPool
from feat2go.envs.workers.process import WorkerProgram

PROGRAM = WorkerProgram(
    module="feat2go.envs.maniskill.worker",
    name="ManiSkill",
    startup_advice="`feat2go doctor` looks for the reason",
    memory_advice="is there enough memory? Each worker needs about 0.7 GB",
    # Of the software renderer, which would otherwise use all cores in each worker.
    environment={"LP_NUM_THREADS": "0"},
)


def worker_pool(config: SimulationConfig, num_envs: int, num_workers: int) -> WorkerPool:
    """N environments in so many processes."""
    return WorkerPool(
        PROGRAM,
        lambda first_row, num_rows: Assignment(config, num_envs, first_row, num_rows),
        num_envs,
        num_workers,
        config.image_size,
    )
