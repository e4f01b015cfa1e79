"""What was run, and with what."""

from __future__ import annotations

from html import escape
from pathlib import Path

from feat2go.report.html import command_line, folded, missing, paragraph, section, table
from feat2go.report.provenance import Command, commands, commit, machine, other_versions, versions
from feat2go.report.runs import Runs
from feat2go.report.text import duration


def origin(runs: Runs, output: Path) -> str:
    """Commands, versions, machine and configs."""
    made = commands(runs)
    rows = [_command(command) for command in made]
    html = table(("stage", "command", "took"), rows, "commands")
    html += paragraph(f"Times are those of the files: {_together(made)}.", "note")
    if any(not command.is_exact for command in made):
        html += paragraph("Commands marked ~ were put together from what the runs left; … was not recorded.", "note")
    folders = " ".join(map(str, runs.folders))
    html += f"<p>This page: {command_line(f'feat2go report {folders} --output {output}')}</p>"
    html += _machine(runs)
    html += "".join(missing(problem) for problem in runs.problems)
    html += "".join(
        folded(f"{fit.path}/config.yaml", (fit.path / "config.yaml").read_text(errors="replace"))
        for fit in runs.fits
        if (fit.path / "config.yaml").is_file()
    )
    return section("What was run", "origin", html)


def _command(command: Command) -> list[str]:
    sign = "" if command.is_exact else "~ "
    took = "–" if command.seconds is None else duration(command.seconds)
    return [escape(command.stage), f"{sign}{command_line(command.line)}", took]


def _together(made: list[Command]) -> str:
    total = sum(command.seconds for command in made if command.is_exact and command.seconds is not None)
    pauses = "pauses count, and a fit that was resumed on its own counts from its last start"
    return f"{pauses}; the demo took {duration(total)} from the end of its first stage" if total else pauses


def _machine(runs: Runs) -> str:
    rows = [
        ("machine", machine()),
        ("versions", ", ".join(f"{name} {found}" for name, found in versions().items())),
        ("commit", commit() or "not known: feat2go does not run from a git checkout"),
        *(("note", sentence) for sentence in other_versions(runs)),
    ]
    cells = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return f"<h3>Where this page was made</h3><dl>{cells}</dl>"
