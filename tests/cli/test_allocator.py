"""Memory that was freed is not taken from the system again."""

import subprocess
import sys

import pytest

from feat2go.cli.allocator import keep_freed_memory

# Pages that eight pieces of 16 MiB took from the system, one after the other, after a first one.
PAGES = """
import ctypes, resource, sys
from feat2go.cli.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
def work():
    piece = ctypes.c_void_p(library.malloc(2**24))
    ctypes.memset(piece, 1, 2**24)
    library.free(piece)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def num_pages(how):
    return int(subprocess.run([sys.executable, "-c", PAGES, how], check=True, capture_output=True).stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="needs glibc")
def test_freed_memory_stays_with_the_process():
    assert num_pages("kept") < num_pages("given back") / 2


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
