"""What a reader must not conclude."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

from feat2go.report.html import bullets, section
from feat2go.report.runs import Runs
from feat2go.report.text import count


def limits(runs: Runs) -> str:
    """As far as the runs tell."""
    sentences = list(_sentences(runs))
    return section("What this does not show", "limits", bullets(sentences)) if sentences else ""


def _sentences(runs: Runs) -> Iterator[str]:
    seeds: dict[str, set[str]] = {}
    for fit in runs.fits_of("rl"):
        seeds.setdefault(fit.reward or "unknown", set()).add(str(fit.setting("data", "init_args", "seed")))
    for reward, found in seeds.items():
        if len(found) == 1:
            yield (
                f"Reinforcement learning with the reward {reward} was run with one seed. Another seed may end higher "
                "or lower: the intervals are over evaluation episodes, not over training runs."
            )
    sizes = [size for fit in runs.fits if (size := _num_parameters(fit.path / "policy" / "model.safetensors"))]
    if sizes:
        yield (
            f"The policy has {count(max(sizes), 'parameter')}. What a large pretrained one would gain is not known "
            "from it."
        )
    if runs.value_models:
        yield (
            "The value model learned from demonstrations. In states that no demonstration visits, its values are a "
            "guess, and reinforcement learning visits such states."
        )
    if runs.evaluations:
        yield (
            "Evaluation episodes differ from training in their seeds, not in task, camera or physics: robustness to "
            "such changes was not measured. All of them are simulated."
        )


def _num_parameters(weights: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "pt") as file:
            return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return 0
