"""``feat2go report RUN... --output FILE``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path


def run(words: Sequence[str]) -> None:
    """Make one HTML page of runs."""
    parser = ArgumentParser(
        prog="feat2go report",
        description="Make one self-contained HTML page of runs: success before and after, learning curves, value "
        "curves, tables, commands. What is missing is said, with the command that makes it.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="folder of a run, or of several")
    parser.add_argument("--output", required=True, metavar="FILE", type=Path, help="the HTML file")
    arguments = parser.parse_args(words[1:])
    # Not before the arguments are read: --help needs no torch.
    from feat2go.report import write_report

    write_report(arguments.runs, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")
