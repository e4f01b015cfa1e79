import subprocess
import sys
from importlib import util

import pytest

from feat2go.envs.maniskill import RequirementError, requirements
from feat2go.envs.maniskill.requirements import check, explain, require_installed


def test_importing_the_package_imports_nothing_heavy():
    program = (
        "import sys, feat2go.envs.maniskill, feat2go.envs.maniskill.requirements;"
        "sys.exit(bool({'mani_skill', 'sapien', 'torch', 'gymnasium'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_other_systems_are_told_what_works_there(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RequirementError, match="Linux only: use the built-in environment 'tabletop'"):
        require_installed()
    (only,) = check()
    assert not only.ok


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(RequirementError, match=r"not installed: pip install 'mani-skill>=3.0.1'"):
        require_installed()


@pytest.mark.parametrize(
    "said",
    [
        'Failed to find a supported physical device "cpu"',
        "failed to find a rendering device",
        "vk::createInstanceUnique: ErrorIncompatibleDriver",
    ],
)
def test_whatever_sapien_says_of_vulkan_ends_in_the_command(said):
    explained = explain(RuntimeError(said), "PushCube-v1")
    assert isinstance(explained, RequirementError)
    assert str(explained).endswith("bash requirements/system.sh")
    assert "\n" not in str(explained)


def test_other_errors_are_left_alone():
    assert explain(RuntimeError("out of memory"), "PushCube-v1") is None


def test_a_cache_that_can_not_be_made_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "file"))
    line = requirements._check_light_assets()
    assert not line.ok
    assert "FEAT2GO_HOME" in line.mend
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "cache"))
    assert requirements._check_light_assets().ok


@pytest.mark.parametrize(
    ("outcome", "ok", "detail"),
    [
        (subprocess.CompletedProcess([], 0, stdout="29.5\n", stderr=""), True, "rendered"),
        (subprocess.CompletedProcess([], 0, stdout="0.0\n", stderr=""), False, "blank"),
        (
            subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback\nRequirementError: no device"),
            False,
            "no dev",
        ),
        (subprocess.TimeoutExpired([], 120), False, "no picture within 120 s"),
    ],
    ids=["works", "blank", "fails", "hangs"],
)
def test_the_doctor_is_told_whether_a_picture_came_out(tmp_path, monkeypatch, outcome, ok, detail):
    def run(*args, **kwargs):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path))
    monkeypatch.setattr(requirements.subprocess, "run", run)
    monkeypatch.setattr(requirements, "_check_installed", lambda: requirements.Check("mani_skill", True, "3.0.1"))
    found = {line.name: line for line in check()}
    rendering = found["Vulkan rendering"]
    assert (rendering.ok, rendering.mend) == (ok, "" if ok else "bash requirements/system.sh")
    assert detail in rendering.detail
    assert set(found) == {"mani_skill", "Vulkan rendering", "light render assets", "GPU simulation"}
