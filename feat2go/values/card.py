"""The model card of an exported value model."""

from __future__ import annotations

from typing import Any

TEMPLATE = """\
---
library_name: feat2go
tags: [feat2go, robotics, value-model]
---
# Value model

Given a camera image and the instruction, it estimates how far the task has come: 0 at the start, 1 when done.
It was trained on progress targets from demonstrations; nobody labelled them.

- network: `{network}`, {num_parameters:,} trained parameters
- frozen parts, rebuilt from their own source: {frozen}
- written by feat2go {version}

## Held-out episodes

{metrics}

VOC is Spearman's correlation of the value with time, pair accuracy the share of frame pairs of which the later has the
higher value, MAE the error against the progress target; each is averaged over episodes. The terminal AUROC compares the
last frames of successes and failures.

## Use

```python
from feat2go.values import FrozenValue

value = FrozenValue.load("path/of/this/folder")
progress = value.predict(images, instruction)  # uint8 (B, H, W, 3) and B sentences -> (B,) in [0, 1]
```

It is meant for the camera and the tasks of its demonstrations. What it says of other views and tasks was not measured.
"""


def model_card(config: dict[str, Any], num_parameters: int) -> str:
    """README.md for a folder with the given config.json."""
    metrics = "\n".join(f"| {name} | {_number(value)} |" for name, value in sorted(config["metrics"].items()))
    return TEMPLATE.format(
        network=config["network"]["class_path"],
        num_parameters=num_parameters,
        frozen=", ".join(f"{part} `{fingerprint}`" for part, fingerprint in sorted(config["fingerprints"].items())),
        version=config["feat2go_version"],
        metrics=f"| metric | value |\n|---|---|\n{metrics}" if metrics else "Not measured.",
    )


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
