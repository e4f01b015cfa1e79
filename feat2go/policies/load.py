"""A policy from the folder that it was saved to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from feat2go.registry import POLICIES


def load_policy(folder: str | Path) -> Any:
    """The policy that ``save_pretrained`` wrote: the class by ``model_type`` in config.json, then its weights.

    Raises:
        FileNotFoundError: if there is no policy in the folder.
        UnknownNameError: if no registered policy has that ``model_type``.
    """
    folder = Path(folder)
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"{folder} holds no policy: config.json is missing. `feat2go fit` writes RUN_DIR/policy at its end."
        )
    model_type = json.loads(config.read_text()).get("model_type", "")
    return POLICIES.get(model_type).from_pretrained(folder)
