import importlib
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def record():
    return importlib.import_module("record")


def test_the_origin_stands_beside_the_result(record, benchmarks, tmp_path, monkeypatch):
    script, output = str(benchmarks / "tabletop_speed.py"), str(tmp_path / "out.json")
    monkeypatch.setattr(sys, "argv", [script, "--output", output, "--num-envs", "64"])
    record.write(output, {"frames_per_s": [1.5]})
    written = json.loads(Path(output).read_text())
    assert written["frames_per_s"] == [1.5]
    assert written["command"] == "python benchmarks/tabletop_speed.py --output out.json --num-envs 64"
    assert written["machine"]["num_cpus"] >= 1
    assert {"python", "torch", "numpy"} <= written["versions"].keys()
    assert "commit" in written
    assert [file.name for file in tmp_path.iterdir()] == ["out.json"]


def test_a_result_may_not_use_its_names(record, tmp_path):
    with pytest.raises(ValueError, match="commit"):
        record.write(tmp_path / "out.json", {"commit": "x"})
    assert not list(tmp_path.iterdir())
