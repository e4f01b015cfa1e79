"""A worker process: some of the tables of one environment."""

from __future__ import annotations

from feat2go.envs.tabletop.pool import PROGRAM, Assignment
from feat2go.envs.tabletop.tables import Tables
from feat2go.envs.workers.frames import Frames
from feat2go.envs.workers.serve import serve


def build(assignment: Assignment, memory: int) -> Tables:
    """The tables of one worker."""
    sizes, settings = Tables.info, assignment.settings
    frames = Frames.mapped(memory, assignment.num_envs, len(sizes.cameras), settings.image_size, sizes.state_dim)
    first = assignment.first_row
    return Tables(settings, frames.rows(slice(first, first + assignment.num_rows)))


if __name__ == "__main__":
    serve(build, PROGRAM.name, (ValueError,))
