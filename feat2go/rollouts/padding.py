"""Rows that count for nothing, for a process that has fewer decisions than the others have minibatches."""

from __future__ import annotations

from dataclasses import fields

import torch

from feat2go.core.types import Observation, PolicyBatch, Rollout


def padded(batch: PolicyBatch, rollout: Rollout, num_rows: int) -> PolicyBatch:
    """The batch with at least ``num_rows`` rows.

    What is added repeats the rollout's first observation, with a mask of False and zeros elsewhere.
    """
    num_missing = num_rows - len(batch)
    if num_missing <= 0:
        return batch
    first = rollout.observation.select(torch.zeros(num_missing, dtype=torch.int64))
    tensors = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "observation"}
    extended = {
        name: torch.cat([tensor, tensor.new_zeros(num_missing, *tensor.shape[1:])]) for name, tensor in tensors.items()
    }
    return PolicyBatch(observation=Observation.concat([batch.observation, first]), **extended)
