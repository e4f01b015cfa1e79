"""What tensors contain, as a hash."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def tensor_sha256(tensor: Tensor) -> str:
    """sha256 of dtype, shape and values."""
    flat = tensor.detach().cpu().contiguous().flatten()
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
