"""Statistics over all processes of a job. With one process, nothing is sent."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def global_mean_std(values: Tensor, mask: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of the masked values of all processes, each of which must call.

    Computed in float64, the deviations around the global mean in a second pass.

    Args:
        values: any shape and number; another on each process.
        mask: bool, of the same shape: values that count.

    Returns:
        Mean and population standard deviation; 0 and 0 where no process has a value.

    Raises:
        ValueError: for shapes that differ.
    """
    if values.shape != mask.shape:
        raise ValueError(f"values and mask have the same shape; got {tuple(values.shape)} and {tuple(mask.shape)}")
    chosen = values[mask].double()
    count, total = global_sum(torch.tensor([len(chosen), chosen.sum()], dtype=torch.float64)).tolist()
    if count == 0:
        return 0.0, 0.0
    mean = total / count
    (squares,) = global_sum((chosen - mean).square().sum()[None]).tolist()
    return mean, (squares / count) ** 0.5


def global_sum(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, each of which must call with the same shape."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    # NCCL moves what lies on a GPU only.
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else values.device
    total = values.detach().to(device, copy=True)
    dist.all_reduce(total)
    return total.to(values.device)


def gather(item: Any) -> list[Any]:
    """What each process has, in the order of their ranks. Each must call, and what it has must be picklable."""
    if not (dist.is_available() and dist.is_initialized()):
        return [item]
    items: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(items, item)
    return items
