"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from feat2go.report.curves import PANELS, Panel, describe_panel, draw_panel, run_colour
from feat2go.report.drawing import data_uri
from feat2go.report.html import missing, paragraph, picture, section
from feat2go.report.runs import Fit, FitKind, Runs
from feat2go.report.text import count, number

_HEADINGS: dict[FitKind, tuple[str, str, str]] = {
    "rl": (
        "Reinforcement learning",
        "a policy by reinforcement learning",
        "feat2go fit --config configs/ppo_TASK.yaml",
    ),
    "value": ("Value model", "a value model", "feat2go fit --config configs/value_TASK.yaml"),
    "bc": ("Imitation", "a policy by imitation", "feat2go fit --config configs/bc_TASK.yaml"),
}


def learning(runs: Runs) -> str:
    """A group of panels for each kind of fit."""
    groups = "".join(_group(kind, runs.fits_of(kind)) for kind in _HEADINGS)
    return section("Learning curves", "learning", groups)


def _group(kind: FitKind, fits: Sequence[Fit]) -> str:
    heading, what, command = _HEADINGS[kind]
    if not fits:
        return f"<h3>{heading}</h3>{missing(f'No run that trained {what} was found.', command)}"
    html = f"<h3>{heading}</h3>" + "".join(_state(fit, command) for fit in fits)
    if kind == "value":
        html += "".join(_held_out_metrics(fit) for fit in fits)
    drawn = [panel for panel in PANELS[kind] if panel.has_data(fits)]
    if any(panel.is_smoothed for panel in drawn):
        html += paragraph("Thin lines are single rollouts, bold ones running means over five.", "note")
    if len(fits) > 1:
        html += _colour_key(fits)
    html += f'<div class="panels">{"".join(_panel(panel, fits) for panel in drawn)}</div>'
    missed = [panel for panel in PANELS[kind] if panel not in drawn and not panel.is_optional]
    lacking = [line.column for panel in missed for line in panel.lines]
    return html + (missing(f"Not drawn, for these were not logged: {', '.join(lacking)}.") if lacking else "")


def _colour_key(fits: Sequence[Fit]) -> str:
    """Which colour is which run, once for all panels."""
    runs = "".join(
        f'<span><svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5" fill="{run_colour(place)}"/>'
        f"</svg>{escape(fit.name)}</span>"
        for place, fit in enumerate(fits)
    )
    return f'<p class="key">{runs}</p>'


def _panel(panel: Panel, fits: Sequence[Fit]) -> str:
    source, alt = data_uri(draw_panel(panel, fits)), describe_panel(panel, fits)
    return picture(source, alt, escape(panel.caption), f"panel {panel.size}", panel.title)


def _state(fit: Fit, command: str) -> str:
    """How far a fit came."""
    epochs, wanted = fit.metrics.epochs, fit.setting("trainer", "max_epochs")
    if epochs is None:
        return missing(f"{fit.path} has logged nothing yet.", command)
    text = f"{fit.path}: {count(epochs[1] + 1, 'epoch')}"
    if isinstance(wanted, int) and wanted > epochs[1] + 1:
        text += f" of {wanted}; it was interrupted, or is still running"
    if epochs[0] > 0:
        text += f". The log begins with epoch {epochs[0]}; what came before is not in it"
    if fit.metrics.num_damaged:
        text += f". {count(fit.metrics.num_damaged, 'incomplete line')} of the log left out"
    return paragraph(text + ".", "state")


def _held_out_metrics(fit: Fit) -> str:
    names = {"val/voc": "VOC", "val/pair_accuracy": "pair accuracy", "val/mae": "mean absolute error"}
    told = [f"{label} {number(fit.metrics.last(name))}" for name, label in names.items() if fit.metrics.has(name)]
    return paragraph(f"On held-out episodes, at the end of the fit: {', '.join(told)}.") if told else ""
