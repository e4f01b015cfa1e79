"""A picture of one labelled episode, to see at a glance whether its stages mean anything."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from feat2go.core.files import atomic_write
from feat2go.core.types import ProgressTrack, Stages

MAX_THUMBNAILS = 10
STAGE_SHADES = ("#e8eef7", "#f7f0e4")


def draw_episode(frames: np.ndarray, stages: Stages, track: ProgressTrack, title: str, path: Path) -> None:
    """Draw frames at the boundaries, similarity with its slope, and the target, and write them as a PNG.

    Args:
        frames: uint8 (T, H, W, 3).
        stages: of the same T frames.
        track: of the same T frames.
        title: the line on top.
        path: of the PNG.
    """
    # A Figure of its own, not pyplot: no global state, no display.
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    figure.suptitle(title, fontsize=11)
    shown = _thumbnails(stages)
    grid = figure.add_gridspec(3, len(shown), height_ratios=[1, 1.3, 1.3])
    for column, frame in enumerate(shown):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(frames[frame])
        axes.set_title(f"frame {frame}", fontsize=8)
        axes.set_axis_off()
    similarity = figure.add_subplot(grid[1, :])
    target = figure.add_subplot(grid[2, :], sharex=similarity)
    for axes in (similarity, target):
        _shade_stages(axes, stages)
    _draw_similarity(similarity, stages, track)
    _draw_target(target, track)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=100)


def _thumbnails(stages: Stages) -> list[int]:
    """First frames of the stages and the last frame of all; a selection where there are too many."""
    frames = sorted({*stages.boundaries[:-1].tolist(), stages.num_frames - 1})
    if len(frames) <= MAX_THUMBNAILS:
        return frames
    chosen = torch.linspace(0, len(frames) - 1, MAX_THUMBNAILS).round().long()
    return [frames[i] for i in chosen.tolist()]


def _shade_stages(axes: Axes, stages: Stages) -> None:
    cuts = stages.boundaries.tolist()
    for n, (start, stop) in enumerate(itertools.pairwise(cuts)):
        axes.axvspan(start - 0.5, stop - 0.5, color=STAGE_SHADES[n % len(STAGE_SHADES)], zorder=0)
    axes.set_xlim(-0.5, stages.num_frames - 0.5)


def _draw_similarity(axes: Axes, stages: Stages, track: ProgressTrack) -> None:
    axes.set_ylabel("similarity")
    _plot_by_stage(axes, stages, track.similarity, color="tab:green", marker=".", label="to the end of the own stage")
    if len(stages.curve):
        _plot_by_stage(axes, stages, stages.curve, color="tab:blue", marker=".", label="to the goal of the walk")
    if len(stages.slope):
        slope = axes.twinx()
        _plot_by_stage(slope, stages, stages.slope, color="tab:red", linewidth=1)
        slope.axhline(0, color="tab:red", linewidth=0.5, linestyle=":")
        slope.set_ylabel("slope to the goal, per frame", color="tab:red")
        slope.tick_params(axis="y", labelcolor="tab:red")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8, frameon=False)


def _plot_by_stage(axes: Axes, stages: Stages, values: torch.Tensor, label: str | None = None, **style: Any) -> None:
    """One line per stage: the goal changes between them, so a line across would mean nothing."""
    for n, (start, stop) in enumerate(itertools.pairwise(stages.boundaries.tolist())):
        axes.plot(range(start, stop), values[start:stop], markersize=4, label=None if n else label, **style)


def _draw_target(axes: Axes, track: ProgressTrack) -> None:
    axes.plot(track.target, color="black", marker=".", markersize=4)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("progress target")
    axes.set_xlabel("frame")
