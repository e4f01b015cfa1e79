"""By default pytest leaves out folders named dist, build or venv, and says nothing."""

from fnmatch import fnmatch
from pathlib import Path

TESTS = Path(__file__).parent


def test_no_folder_of_tests_is_left_out_for_its_name(pytestconfig):
    names = {part for file in TESTS.rglob("test_*.py") for part in file.relative_to(TESTS).parent.parts}
    assert "dist" in names
    skipped = pytestconfig.getini("norecursedirs")
    assert not [name for name in names for pattern in skipped if fnmatch(name, pattern)]
