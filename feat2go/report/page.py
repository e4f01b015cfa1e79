"""The page as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path

from feat2go import __version__
from feat2go.core.files import atomic_write
from feat2go.report.discovery import discover
from feat2go.report.runs import Runs
from feat2go.report.sections.evaluations import evaluations
from feat2go.report.sections.headline import headline
from feat2go.report.sections.learning import learning
from feat2go.report.sections.limits import limits
from feat2go.report.sections.monitor import monitor
from feat2go.report.sections.origin import origin
from feat2go.report.sections.values import values


def write_report(runs: Sequence[Path], output: Path) -> None:
    """Write one HTML file that needs no other: figures, videos and style are in it.

    Args:
        runs: folders of runs, or folders that hold such folders.
        output: the HTML file; replaced as a whole or not at all.

    Raises:
        ValueError: if there are no folders, or one of them holds no run.
        NotADirectoryError: if one of them is no folder.
    """
    html = _page(discover(runs), Path(output))
    with atomic_write(output) as partial:
        partial.write_text(html, encoding="utf-8")


def _page(runs: Runs, output: Path) -> str:
    title = ", ".join(runs.tasks)
    style = resources.files("feat2go.report").joinpath("page.css").read_text(encoding="utf-8")
    chapters = [
        headline(runs),
        monitor(runs),
        learning(runs),
        values(runs),
        evaluations(runs),
        limits(runs),
        origin(runs, output),
    ]
    made = (
        f"{', '.join(map(str, runs.folders))} · {datetime.now().astimezone():%Y-%m-%d %H:%M %Z} · feat2go {__version__}"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: feat2go report</title>
<style>
{style}</style>
</head>
<body>
<main>
<header><p class="kind">feat2go report</p><h1>{escape(title)}</h1><p class="made">{escape(made)}</p></header>
{"".join(chapters)}</main>
</body>
</html>
"""
