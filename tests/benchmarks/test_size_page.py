"""docs/size.md is what docs/make_size.py writes of benchmarks/results/vla_size.json."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("make_size")


@pytest.fixture
def result(page):
    return json.loads(page.RESULT.read_text())


def test_its_tables_are_those_of_the_benchmark(page, result):
    text = page.PAGE.read_text()
    for block, write in page.BLOCKS.items():
        begin, end = page.marks(block)
        assert begin + write(result) + end in text


def test_what_was_not_measured_is_marked_and_the_estimate_stands_in_its_place(page, result):
    assert result["measured"]["size"] == "tiny"
    rows = page.estimates(result).splitlines()[2:]
    assert len(rows) == 14
    assert all("| not measured: no GPU |" in row for row in rows)
    assert "not measured: no GPU; estimate: " in page.iteration(result)
    assert len(page.tiny(result).splitlines()) == 2 + 14 + 2


def test_what_a_gpu_measured_comes_in(page, result):
    about = {"policy": "openvla", "phase": "update", "lora_rank": 32, "kv_cache": None, "gradient_checkpointing": True}
    figures = {"samples_per_s": 20.0, "actions_per_s": 20.0, "mfu": 0.412, "peak_gib": 30.25}
    slower = {**figures, "samples_per_s": 10.0}
    rows = [
        {**about, "batch_size": 1, "out_of_memory": False, **slower},
        {**about, "batch_size": 8, "out_of_memory": False, **figures},
        {**about, "batch_size": 128, "out_of_memory": True},
    ]
    whole = {"out_of_memory": False, "seconds": 30.0, "peak_gib": 25.0}
    measured = {**result, "measured": {"size": "7b", "rows": rows, "ppo_iteration": whole}}
    expected = "| openvla | update | adapters | yes |  | 20 samples/s, 20 actions/s, 41% MFU, 30.2 GiB at batch 8 |"
    assert expected in page.estimates(measured)
    assert "updates of 32: 30 s, 25.0 GiB; estimate" in page.iteration(measured)
    assert page.tiny(measured) == ""
    measured["measured"]["rows"] = rows[2:]
    assert "| out of memory |" in page.estimates(measured)
