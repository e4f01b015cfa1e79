"""The value of an episode, frame by frame, under the frames themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from feat2go.core.types import Episode
from feat2go.report.drawing import BLUE, MUTED, legend_above, style

NUM_FRAMES = 8
# Larger pictures are thinned out to about this side: the page is to stay small enough for an e-mail.
MAX_SIDE = 160
# In inches. The margins are set by hand: each picture stands above its moment only if strip and axes are equally wide.
WIDTH, HEIGHT = 9.5, 3.25
LEFT, PLOT_WIDTH = 0.5, 8.95
STRIP_BOTTOM, STRIP_HEIGHT = 2.05, 1.15
CURVES_BOTTOM, CURVES_HEIGHT = 0.45, 1.3


def value_curve_figure(episode: Episode, target: Tensor | None, prediction: Tensor | None) -> Figure:
    """Frames on top, each above its moment; progress target and value prediction below.

    Args:
        episode: T frames, seen through the first camera.
        target: float (T,) in [0, 1], or None where there is none, as for failures.
        prediction: float (T,), the value model's; or None.

    Returns:
        A matplotlib figure, 9.5 inches wide.

    Raises:
        ValueError: if a curve is not as long as the episode.
    """
    num_frames = len(episode)
    for name, curve in (("target", target), ("prediction", prediction)):
        if curve is not None and len(curve) != num_frames:
            raise ValueError(f"the {name} has {len(curve)} values, but the episode {num_frames} frames")
    shown = np.unique(np.linspace(0, num_frames - 1, NUM_FRAMES).round().astype(int)).tolist()
    margin = max((num_frames - 1) / max(len(shown) - 1, 1), 1) / 2
    with style():
        figure = Figure(figsize=(WIDTH, HEIGHT))
        strip, curves = (
            figure.add_axes((LEFT / WIDTH, bottom / HEIGHT, PLOT_WIDTH / WIDTH, height / HEIGHT))
            for bottom, height in ((STRIP_BOTTOM, STRIP_HEIGHT), (CURVES_BOTTOM, CURVES_HEIGHT))
        )
        for axes in (strip, curves):
            axes.set_xlim(-margin, num_frames - 1 + margin)
        _draw_frames(strip, episode, shown)
        _draw_curves(curves, target, prediction, shown)
    return figure


def _draw_frames(axes: Axes, episode: Episode, shown: Sequence[int]) -> None:
    frames = next(iter(episode.frames.values()))
    low, high = axes.get_xlim()
    slot = PLOT_WIDTH / len(shown)
    # Evenly spaced, so up to half a frame beside the moment in a short episode.
    places = np.linspace(shown[0], shown[-1], len(shown))
    for t, place in zip(shown, places, strict=True):
        image = np.asarray(frames[t : t + 1])[0]
        step = max(1, max(image.shape[:2]) // MAX_SIDE)
        ratio = image.shape[1] / image.shape[0]
        # As large as slot and strip allow, in inches; then in frames, the unit of the axis.
        width = min(0.94 * slot, ratio * STRIP_HEIGHT)
        half = width / PLOT_WIDTH * (high - low) / 2
        top = width / ratio / STRIP_HEIGHT
        axes.imshow(
            image[::step, ::step], extent=(place - half, place + half, 0, top), aspect="auto", interpolation="none"
        )
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_curves(axes: Axes, target: Tensor | None, prediction: Tensor | None, shown: Sequence[int]) -> None:
    handles: list[Artist] = []
    labels = []
    for curve, label, colour, width in (
        (target, "progress target", MUTED, 1.4),
        (prediction, "value model", BLUE, 2.0),
    ):
        if curve is not None:
            handles += axes.plot(curve.numpy(), color=colour, linewidth=width, marker="." if len(curve) == 1 else None)
            axes.plot(shown, curve.numpy()[shown], ".", color=colour, markersize=2 + 2 * width)
            labels.append(label)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xticks(shown)
    axes.set_ylabel("progress")
    axes.set_xlabel("frame")
    legend_above(axes, handles, labels, num_columns=2)
