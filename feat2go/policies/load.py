"""A policy from the folder that it was saved to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

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
    model_type = json.loads(config.read_text()).get("model_type", "")
    return POLICIES.get(model_type).from_pretrained(folder)


def _from_checkpoint(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if "policy_config" not in checkpoint:
        raise ValueError(f"{path} is not a checkpoint of a policy: it has no policy_config")
    config = dict(checkpoint["policy_config"])
    policy = POLICIES.get(config.pop("model_type"))(**config)
    prefix = "policy."
    state = checkpoint["state_dict"]
    policy.load_state_dict({name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)})
    return policy
