"""A policy from the folder that it was saved to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from feat2go.registry import POLICIES


def load_policy(path: str | Path) -> Any:
    """A policy for inference or as a start.

    Args:
        path: the folder that ``save_pretrained`` wrote, a run's folder that has it as ``policy/``, or a ``.ckpt`` file.

    Raises:
        FileNotFoundError: if there is no policy.
        UnknownNameError: if no registered policy has the ``model_type`` found there.
    """
    path = Path(path)
    if path.suffix == ".ckpt":
        return _from_checkpoint(path)
    folder = path / "policy" if (path / "policy").is_dir() else path
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"{folder} holds no policy: config.json is missing. `feat2go fit` writes RUN_DIR/policy when it ends."
        )
    content = json.loads(config.read_text())
    # A policy that keeps the config.json of another library says who it is in a part of its own.
    name = content.get("feat2go", {}).get("policy") or content.get("model_type", "")
    return POLICIES.get(name).from_pretrained(folder)


def _from_checkpoint(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if "policy_config" not in checkpoint:
        raise ValueError(f"{path} is not a checkpoint of a policy: it has no policy_config")
    config = dict(checkpoint["policy_config"])
    policy = POLICIES.get(config.pop("model_type"))(**config)
    prefix = "policy."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    if not getattr(policy, "restores_frozen", False):
        policy.load_state_dict(state)
        return policy
    require_learned(policy, state)
    unexpected = policy.load_state_dict(state, strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"{path} has tensors that its policy does not: {', '.join(unexpected[:5])}")
    return policy


def without_frozen(policy: nn.Module, state: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A state dict without the parameters that don't learn.

    Of a policy whose ``restores_frozen`` is true: its ``config`` alone brings them back.

    Args:
        policy: says which these are.
        state: its state dict, or one that holds it.
        prefix: of the policy's names in ``state``.
    """
    frozen = {prefix + name for name, parameter in policy.named_parameters() if not parameter.requires_grad}
    # A 4-bit weight has its scales below it: weight.absmax and so on.
    return {k: v for k, v in state.items() if k not in frozen and f"{k.rpartition('.weight.')[0]}.weight" not in frozen}


def require_learned(policy: nn.Module, state: Mapping[str, Any], prefix: str = "") -> None:
    """Raise unless ``state`` holds everything of a policy that its ``config`` alone does not bring back.

    Raises:
        ValueError: naming what is missing.
    """
    missing = {prefix + name for name in without_frozen(policy, policy.state_dict())} - state.keys()
    if missing:
        raise ValueError(f"the checkpoint does not fit the policy; it lacks {', '.join(sorted(missing)[:5])}")


def same_frozen(policy: nn.Module, other: nn.Module) -> bool:
    """Whether all of a policy's frozen parameters are also in the other one, with the same values."""
    others = dict(other.named_parameters())
    return all(
        name in others and torch.equal(parameter, others[name])
        for name, parameter in policy.named_parameters()
        if not parameter.requires_grad
    )
