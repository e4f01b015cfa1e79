import os
import socket
import subprocess
import sys

import pytest

from feat2go.core import files
from feat2go.core.files import atomic_write


def write_half(target):
    with atomic_write(target) as partial:
        partial.write_text("ne")
        raise RuntimeError("in the middle")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "table.csv"
    with atomic_write(target) as partial:
        partial.write_text("old")
        assert partial.suffix == ".csv"
        assert not target.exists()
    with pytest.raises(RuntimeError, match="in the middle"):
        write_half(target)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed_and_what_others_write_is_not(tmp_path):
    program = (  # from the file alone: the package would import torch
        "import os, runpy, sys\n"
        "with runpy.run_path(sys.argv[2])['atomic_write'](sys.argv[1]) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), 9)"
    )
    target = tmp_path / "table.csv"
    assert subprocess.run([sys.executable, "-c", program, str(target), files.__file__]).returncode == -9
    (leftover,) = tmp_path.iterdir()
    host = socket.gethostname()
    running = tmp_path / f".other.{host}.{os.getppid()}.partial.csv"
    elsewhere = tmp_path / f".other.not-{host}.{leftover.name.split('.')[-3]}.partial.csv"
    for path in (running, elsewhere):
        path.touch()
    with atomic_write(target) as partial:
        partial.write_text("whole")
    assert set(tmp_path.iterdir()) == {target, running, elsewhere}
    assert target.read_text() == "whole"
