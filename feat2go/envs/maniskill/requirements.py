"""What ManiSkill needs from a machine, checked, with the command that mends it. Light to import."""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from feat2go.registry.registry import UnknownNameError

SYSTEM_COMMAND = "bash requirements/system.sh"
_RENDER_TIMEOUT_S = 120.0

# What SAPIEN says where it finds no device to render with, by the point at which it notices.
_NO_VULKAN = ("supported physical device", "rendering device", "vulkan", "vk::", "ErrorIncompatibleDriver")


class RequirementError(RuntimeError):
    """Something is missing on this machine; the message names the command that mends it."""


@dataclass(frozen=True)
class Check:
    """One line of ``feat2go doctor``.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be.
        detail: what was found.
        mend: the command that mends it, or an empty string.
    """

    name: str
    ok: bool
    detail: str
    mend: str = ""


def check() -> list[Check]:
    """Look at everything that ``ManiSkill`` needs. Renders one picture in a process of its own, which takes seconds."""
    installed = _check_installed()
    if not installed.ok:
        return [installed]
    return [installed, _check_rendering(), _check_light_assets(), _check_gpu()]


def require_installed() -> None:
    """Refuse to go on where ManiSkill can't be imported.

    Raises:
        RequirementError: on other systems than Linux, or without the package.
    """
    installed = _check_installed()
    if not installed.ok:
        raise RequirementError(f"{installed.detail}: {installed.mend}")


def require_task(task: str) -> None:
    """Refuse a task that ManiSkill doesn't have. Imports ManiSkill.

    Raises:
        UnknownNameError: with the closest name.
    """
    from mani_skill.utils.registration import REGISTERED_ENVS

    if task not in REGISTERED_ENVS:
        close = difflib.get_close_matches(task, REGISTERED_ENVS, n=1, cutoff=0.5)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise UnknownNameError(f"unknown ManiSkill task '{task}'.{hint} Known: {', '.join(sorted(REGISTERED_ENVS))}.")


def missing_assets(name: str) -> RequirementError:
    """The error for a task or robot whose assets have not been downloaded."""
    command = f"python -m mani_skill.utils.download_asset {name}"
    return RequirementError(f"ManiSkill's '{name}' needs assets that are not on this machine: {command}")


def explain(error: Exception, task: str) -> Exception | None:
    """The one-sentence version of what building ``task`` raised, or None if it is nothing that we know."""
    message = str(error)
    if isinstance(error, FileNotFoundError):
        return _missing_file(Path(error.filename or ""))
    if "download_asset" in message or isinstance(error, ImportError):
        return RequirementError(message)
    if any(sign.lower() in message.lower() for sign in _NO_VULKAN):
        return RequirementError(f"ManiSkill finds no Vulkan device to render with ({message}): {SYSTEM_COMMAND}")
    offered = re.search(r"not in supported modes: (\[.*\])", message)
    if offered:
        mend = "; set control='joint'" if "'pd_joint_delta_pos'" in offered[1] else ""
        return ValueError(f"the robot of '{task}' can't be controlled this way, only by {offered[1]}{mend}")
    return None


def _missing_file(path: Path) -> RequirementError | None:
    from mani_skill.utils.assets.data import DATA_SOURCES

    for name, source in DATA_SOURCES.items():
        if path.is_relative_to(Path(source.output_dir) / str(source.target_path)):
            return missing_assets(name)
    return None


def _check_installed() -> Check:
    if not sys.platform.startswith("linux"):
        return Check("mani_skill", False, "ManiSkill runs on Linux only", "use the built-in environment 'tabletop'")
    if importlib.util.find_spec("mani_skill") is None:
        return Check("mani_skill", False, "ManiSkill is not installed", "pip install 'mani-skill>=3.0.1'")
    return Check("mani_skill", True, metadata.version("mani_skill"))


def _check_rendering() -> Check:
    name = "Vulkan rendering"
    program = (
        "from feat2go.envs.maniskill.env import ManiSkill; env = ManiSkill('PushCube-v1', num_envs=1, num_workers=1);"
        "print(float(env.reset([0]).images['base'].float().std())); env.close()"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_RENDER_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return Check(name, False, f"no picture within {_RENDER_TIMEOUT_S:.0f} s", SYSTEM_COMMAND)
    if done.returncode != 0:
        return Check(name, False, done.stderr.strip().rpartition("\n")[2], SYSTEM_COMMAND)
    if float(done.stdout.split()[-1]) < 1:
        return Check(name, False, "the picture of PushCube-v1 is blank", SYSTEM_COMMAND)
    return Check(name, True, "a picture of PushCube-v1 was rendered")


def _check_light_assets() -> Check:
    # feat2go.core imports torch.
    from feat2go.core.files import home

    name, folder = "light render assets", home() / "maniskill"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Check(name, False, f"{folder} can't be made: {error.strerror}", "export FEAT2GO_HOME=/some/other/folder")
    if not os.access(folder, os.W_OK):
        return Check(name, False, f"{folder} can't be written to", "export FEAT2GO_HOME=/some/other/folder")
    return Check(name, True, f"in {folder}")


def _check_gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("GPU simulation", True, "no GPU: worker processes with light render assets are used")
    return Check("GPU simulation", True, torch.cuda.get_device_name())
