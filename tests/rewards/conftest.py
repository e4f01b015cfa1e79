import pytest
import torch

from feat2go.core import Observation, Rollout


def pictures(values, instruction="put"):
    """Observations whose pictures are plainly grey."""
    grey = torch.as_tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 8, 8, 3)
    names = [instruction] * len(grey) if isinstance(instruction, str) else instruction
    return Observation({"front": grey}, None, names)


@pytest.fixture
def rollout():
    """Four decisions of one action in three environments.

    Environment 0 succeeds at t = 1 and begins again, 1 runs into the time limit at t = 2 and begins again, 2 goes on.
    """
    terminated, truncated = torch.zeros(2, 4, 3, dtype=torch.bool)
    terminated[1, 0] = truncated[2, 1] = True
    zeros = torch.zeros(4, 3)
    return Rollout(
        observation=pictures([10, 60, 0, 20, 62, 0, 30, 64, 0, 40, 66, 0]),
        tokens=zeros[..., None].long(),
        logprob=zeros[..., None],
        value=zeros,
        reward=zeros,
        terminated=terminated,
        truncated=truncated,
        success=terminated,
        valid=torch.ones(4, 3, 1, dtype=torch.bool),
        bootstrap=zeros,
        last_value=zeros[0],
        final_index=torch.tensor([[1, 0], [2, 1]]),
        final_observation=pictures([30, 65]),
        last_observation=pictures([50, 68, 0]),
    )
