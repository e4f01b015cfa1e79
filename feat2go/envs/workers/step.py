"""From what became of actions to what an environment returns. Apart, since worker processes do without PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from feat2go.core.types import Observation, Step
from feat2go.envs.workers.frames import Flags


def step_of(
    flags: Flags, observation: Observation, final_observation: Observation, reward: Tensor | None = None
) -> Step:
    """A step of all environments; ``final_observation`` has a row for each of ``flags.ended_rows``."""
    return Step(
        observation=observation,
        terminated=torch.from_numpy(flags.terminated),
        truncated=torch.from_numpy(flags.truncated),
        success=torch.from_numpy(flags.success),
        valid=torch.from_numpy(flags.valid),
        milestone=torch.from_numpy(flags.milestone),
        final_index=torch.tensor(flags.ended_rows, dtype=torch.int64),
        final_observation=final_observation,
        reward=reward,
    )
