"""Whether a command line is accepted, without the work behind it."""

import pytest
from jsonargparse import ArgumentParser

from feat2go.cli.main import COMMANDS, main
from feat2go.cli.training import TrainingCLI


class AcceptedError(Exception):
    """The command line is fine."""


def accepts(words, monkeypatch):
    """Run a command up to where its work would begin."""
    instantiate = ArgumentParser.instantiate

    depth = 0

    def stop_after(self, config):
        """After the outermost: what a class is made from may be parsers of their own."""
        nonlocal depth
        depth += 1
        try:
            made = instantiate(self, config)
        finally:
            depth -= 1
        if depth == 0:
            raise AcceptedError
        return made

    def stop(self, subcommand):
        raise AcceptedError

    with monkeypatch.context() as patch:
        patch.setattr("sys.argv", ["feat2go"])
        if COMMANDS[words[0]][0] == "feat2go.cli.training":
            patch.setattr(TrainingCLI, "_run_subcommand", stop)
        else:
            patch.setattr(ArgumentParser, "instantiate", stop_after)
        with pytest.raises(AcceptedError):
            main(words)
