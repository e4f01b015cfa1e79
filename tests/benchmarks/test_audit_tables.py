"""The tables that benchmarks write into the docs are those of the committed results."""

import importlib
import shutil
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["robustness", "put_on_value", "put_on_policy", "maniskill_experts"])
def test_the_docs_have_the_table_of_the_last_run(name, tmp_path, monkeypatch):
    benchmark = importlib.import_module(name)
    page = shutil.copy(benchmark.DOCS, tmp_path)
    monkeypatch.setattr(benchmark, "DOCS", Path(page))
    before = Path(page).read_text()
    benchmark.write_docs()
    assert Path(page).read_text() == before
    assert benchmark.MARKS[0] in before
