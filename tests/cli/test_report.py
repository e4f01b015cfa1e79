import subprocess
import sys

import pytest

from feat2go.cli.main import main
from feat2go.core import EvaluationRow
from feat2go.rollouts.tables import write_table


def test_one_page_of_several_folders(tmp_path, capsys):
    for name in ("a", "b"):
        row = EvaluationRow("Slide-v1", "", "evaluation", 2_000_000_000, True, True, 5, 1, 0.5, "", "slide")
        write_table([row], tmp_path / name / "episodes.parquet", {"checkpoint": name})
    main(["report", str(tmp_path / "a"), str(tmp_path / "b"), f"--output={tmp_path / 'report.html'}"])
    html = (tmp_path / "report.html").read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<td>Slide-v1</td>") == 2
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}: 0.0 MB\n"


def test_errors_are_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path), "--output", str(tmp_path / "report.html")])
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [["report"], ["report", "runs"], ["report", "--output", "a.html"]])
def test_run_and_output_are_required(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "usage: feat2go report" in capsys.readouterr().err


def test_help_needs_no_torch():
    code = "import sys; from feat2go.cli.main import main\ntry: main(['report', '--help'])\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
