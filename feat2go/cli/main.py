"""``feat2go``: one word chooses the command, and only that command's code is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from feat2go import __version__
from feat2go.cli.allocator import keep_freed_memory

_TRAINING = "feat2go.cli.training"

COMMANDS = {
    "fit": (_TRAINING, "train a value model or a policy"),
    "validate": (_TRAINING, "run the validation of a config"),
    "test": (_TRAINING, "run the test of a config, on evaluation seeds"),
    "predict": (_TRAINING, "run a trained module's predictions"),
    "collect": ("feat2go.cli.collect", "record demonstrations of a scripted expert"),
    "label": ("feat2go.cli.label", "turn demonstrations into progress targets"),
    "audit": ("feat2go.cli.audit", "measure what stages and targets are worth, against milestones"),
    "evaluate": ("feat2go.cli.evaluate", "measure a policy: success with intervals, a table, videos"),
    "report": ("feat2go.cli.report", "make one HTML page of runs"),
    "demo": ("feat2go.cli.demo", "the whole loop, from demonstrations to a report"),
    "list": ("feat2go.cli.list", "what is registered: encoders, clustering, algorithms ..."),
    "weights": ("feat2go.cli.weights", "fetch pretrained weights that install as packages"),
    "doctor": ("feat2go.cli.doctor", "check this machine"),
}


def usage() -> str:
    """The page that ``feat2go --help`` prints."""
    rows = "\n".join(f"  {name:10}{summary}" for name, (_, summary) in COMMANDS.items())
    return f"feat2go {__version__}\n\nusage: feat2go COMMAND [options]\n\n{rows}\n\n`feat2go COMMAND --help` says more."


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        argv: the words after ``feat2go``; by default the process's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    if words[0] == "--version":
        print(__version__)
        return
    if words[0] not in COMMANDS:
        print(f"feat2go: unknown command '{words[0]}'; known: {', '.join(COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)
    keep_freed_memory()
    module = importlib.import_module(COMMANDS[words[0]][0])
    try:
        module.run(words)
    except KeyboardInterrupt as interrupt:
        print(f"feat2go: interrupted; {str(interrupt) or 'the same command goes on from here'}", file=sys.stderr)
        raise SystemExit(130) from None
    except ModuleNotFoundError as error:
        if "pip install" not in str(error):
            raise
        print(f"feat2go: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except (ValueError, LookupError, OSError) as error:
        # What a user can mend. Anything else is a defect of ours and keeps its traceback.
        print(f"feat2go: {error.args[0] if isinstance(error, LookupError) and error.args else error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
