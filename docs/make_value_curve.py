"""Draws docs/images/value_curve.png from a demo's runs: python docs/make_value_curve.py runs/pushcube."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from feat2go.data import open_dataset
from feat2go.progress import read_labels
from feat2go.report import value_curve_figure
from feat2go.values.frozen import FrozenValue


def main(runs: Path) -> None:
    """The first plain demonstration: of an episode that the value model was not trained on."""
    episode = open_dataset(runs / "few")[0]
    frames = torch.from_numpy(next(iter(episode.frames.values()))[:])
    prediction = FrozenValue.load(runs / "value" / "value").predict(frames, [episode.instruction] * len(episode))
    labels = runs / "few" / "labels.parquet"
    target = read_labels(labels)[episode.uid].target if labels.is_file() else None
    picture = Path(__file__).parent / "images" / "value_curve.png"
    picture.parent.mkdir(exist_ok=True)
    value_curve_figure(episode, target, prediction).savefig(picture, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
