"""What the published OpenVLA-OFT checkpoints keep in files of their own: action head and proprioception projector."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from feat2go.policies.openvla.checkpoint import check_shapes
from feat2go.policies.openvla.film import find_one, read_extra

ACTION_HEAD_FILES = ("action_head.safetensors", "action_head--*_checkpoint.pt")
PROPRIO_FILES = ("proprio_projector.safetensors", "proprio_projector--*_checkpoint.pt")

_Module = TypeVar("_Module", bound=nn.Module)


class _ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ffn = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU())

    def forward(self, states: Tensor) -> Tensor:
        return cast(Tensor, states + self.ffn(states))


class _ResidualMLP(nn.Module):
    def __init__(self, input_width: int, width: int, num_blocks: int, output_width: int) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(input_width)
        self.fc1 = nn.Linear(input_width, width)
        self.mlp_resnet_blocks = nn.ModuleList(_ResidualBlock(width) for _ in range(num_blocks))
        self.layer_norm2 = nn.LayerNorm(width)
        self.fc2 = nn.Linear(width, output_width)

    def forward(self, states: Tensor) -> Tensor:
        states = functional.relu(self.fc1(self.layer_norm1(states)))
        for block in self.mlp_resnet_blocks:
            states = block(states)
        return cast(Tensor, self.fc2(self.layer_norm2(states)))


class L1Head(nn.Module):
    """Regresses a chunk of actions from the hidden states of its tokens. Deterministic: it has no log-probs.

    Args:
        action_dim: A.
        state_width: of the language model.
        width, num_blocks: of the head.
    """

    def __init__(self, action_dim: int, state_width: int, width: int, num_blocks: int = 2) -> None:
        super().__init__()
        self.action_dim = action_dim
        self.model = _ResidualMLP(action_dim * state_width, width, num_blocks, action_dim)

    def forward(self, states: Tensor) -> Tensor:
        """States (B, C*A, width), time-major -> normalised actions (B, C, A)."""
        rows, length, width = states.shape
        states = states.to(self.model.fc1.weight.dtype)
        return cast(Tensor, self.model(states.reshape(rows, length // self.action_dim, self.action_dim * width)))


class ProprioProjector(nn.Module):
    """Normalised proprioception to one token of the language model.

    Args:
        proprio_dim: S.
        width: of the language model.
    """

    def __init__(self, proprio_dim: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(proprio_dim, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, proprio: Tensor) -> Tensor:
        """(B, S) -> (B, 1, width)."""
        hidden = functional.gelu(self.fc1(proprio.to(self.fc1.weight.dtype)))
        return cast(Tensor, self.fc2(hidden)[:, None])


def load_l1_head(folder: Path, action_dim: int, state_width: int, dtype: torch.dtype) -> L1Head:
    """The folder's action head.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it was made for another width or action size.
    """
    path, tensors = _read(folder, ACTION_HEAD_FILES, "an L1 action head; use head: discrete", dtype)
    num_blocks = sum(name.endswith("ffn.1.weight") for name in tensors)
    width = tensors["model.fc1.bias"].shape[0] if "model.fc1.bias" in tensors else state_width
    return _filled(L1Head(action_dim, state_width, width, num_blocks), path, tensors)


def load_proprio_projector(folder: Path, width: int, dtype: torch.dtype) -> ProprioProjector:
    """The folder's proprioception projector.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it was made for another width.
    """
    path, tensors = _read(folder, PROPRIO_FILES, "a proprioception projector; set proprio to false", dtype)
    proprio_dim = tensors["fc1.weight"].shape[1] if "fc1.weight" in tensors else 1
    return _filled(ProprioProjector(proprio_dim, width), path, tensors)


def _read(folder: Path, patterns: tuple[str, ...], what: str, dtype: torch.dtype) -> tuple[Path, dict[str, Tensor]]:
    path = find_one(folder, patterns)
    if path is None:
        raise FileNotFoundError(f"{folder} has no {patterns[0]} or {patterns[1]}, so it lacks {what}")
    return path, read_extra(path, dtype)


def _filled(module: _Module, path: Path, tensors: dict[str, Tensor]) -> _Module:
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    check_shapes(path, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, expected)
    module.load_state_dict(tensors, assign=True)
    module.requires_grad_(True)
    return module
