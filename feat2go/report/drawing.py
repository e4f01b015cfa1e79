"""How the report's figures look, and how they get into the page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1c2430", "#5b6675", "#dfe4ea"
BLUE, ORANGE, GREEN, PURPLE, BROWN = "#1d5fbf", "#c2570c", "#1f7a4d", "#7b4bb3", "#7a5c3e"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, BROWN, MUTED)
# The page's own fonts: text stays text in the figures.
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

_SETTINGS: Any = {
    "font.size": 8.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "legend.frameon": False,
    # Names of runs are no formulas.
    "text.parse_math": False,
    "svg.fonttype": "none",
    # The same run gives the same page.
    "svg.hashsalt": "feat2go",
}


def style() -> Any:
    """A context in which figures get the report's look."""
    return rc_context(_SETTINGS)


def legend_above(axes: Axes, handles: Sequence[Artist], labels: Sequence[str], num_columns: int) -> None:
    """A legend on top of the axes, to the left."""
    axes.legend(
        handles,
        # matplotlib leaves out what begins with an underscore.
        [label.lstrip("_") for label in labels],
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=num_columns,
        handlelength=1.4,
        columnspacing=1.4,
        borderaxespad=0.2,
        fontsize=8.5,
    )


def data_uri(figure: Figure) -> str:
    """A figure as an SVG that an ``<img>`` can hold."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue().replace("'DejaVu Sans'", FONTS)
    # Shorter than base64, above all where the SVG holds base64 of its own.
    return "data:image/svg+xml," + quote(svg, safe=" /:=;,+()*!@?-_.~")
