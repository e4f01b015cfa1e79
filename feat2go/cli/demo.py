"""``feat2go demo``: the whole loop, as the commands that a user would type."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from feat2go.cli.parsing import run_function
from feat2go.core.files import atomic_write

TASKS = {
    "maniskill": "pushcube",
    "placesphere": "placesphere",
    "stackcube": "stackcube",
    "tabletop": "tabletop",
}


def run(words: Sequence[str]) -> None:
    """Run the demonstration; see :func:`demo`."""
    run_function(demo, words)


def demo(env: str = "maniskill") -> None:
    """From demonstrations to a report on a policy that reinforcement learning improved.

    Interrupted, the same command goes on where it stopped. Everything is written under ``runs/``.

    Args:
        env: ``maniskill`` (PushCube-v1), ``tabletop`` (built in, needs no system package), or the longer ones of
            ManiSkill3: ``placesphere`` (PlaceSphere-v1) and ``stackcube`` (StackCube-v1).
    """
    name = env.rpartition(".")[2].lower()
    if name not in TASKS:
        raise ValueError(f"the demo knows {', '.join(TASKS)}; got '{env}'")
    task = TASKS[name]
    done = Path("runs") / task / ".done"
    start = time.monotonic()
    stages = _stages(task)
    for number, (stage, command) in enumerate(stages, start=1):
        line = shlex.join(command)
        print(
            f"\n[{number}/{len(stages)}] {stage}: feat2go {line}   ({time.monotonic() - start:.0f} s so far)",
            flush=True,
        )
        if _is_done(done / stage, line):
            print("done before", flush=True)
            continue
        _run_stage(stage, command)
        with atomic_write(done / stage) as partial:
            partial.write_text(line)
    print(f"\nThe report: {Path('runs') / task / 'report.html'}   ({(time.monotonic() - start) / 60:.1f} minutes)")


def _stages(task: str) -> list[tuple[str, list[str]]]:
    runs = f"runs/{task}"
    configs = configs_folder()

    def config(kind: str) -> list[str]:
        return ["--config", str(configs / f"{kind}_{task}.yaml")]

    return [
        ("weights", ["weights", "get", "mobilenet_v2"]),
        ("collect", ["collect", *config("collect")]),
        ("few", ["collect", *config("collect_few")]),
        ("label", ["label", f"{runs}/demonstrations", *config("label")]),
        ("value", ["fit", *config("value"), *_resume(f"{runs}/value")]),
        ("bc", ["fit", *config("bc"), *_resume(f"{runs}/bc")]),
        ("before", ["evaluate", *config("evaluate"), f"--checkpoint={runs}/bc", f"--output={runs}/before"]),
        ("ppo", ["fit", *config("ppo"), *_resume(f"{runs}/ppo")]),
        ("after", ["evaluate", *config("evaluate"), f"--checkpoint={runs}/ppo", f"--output={runs}/after"]),
        ("report", ["report", runs, f"--output={runs}/report.html"]),
    ]


def _resume(run_dir: str) -> list[str]:
    last = Path(run_dir) / "checkpoints" / "last.ckpt"
    return ["--ckpt_path", str(last)] if last.is_file() else []


def configs_folder() -> Path:
    """The shipped configs: in a checkout beside the package, in an installed package inside it."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    folder = inside if inside.is_dir() else package.parent / "configs"
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _is_done(marker: Path, line: str) -> bool:
    # A resumed fit has another command line than the one that began it, and is still the same stage.
    return marker.is_file() and marker.read_text().partition(" --ckpt_path")[0] == line.partition(" --ckpt_path")[0]


def _run_stage(stage: str, command: list[str]) -> None:
    status = subprocess.run([sys.executable, "-m", "feat2go.cli.main", *command], check=False).returncode
    if status in (130, -2):
        raise KeyboardInterrupt
    if status != 0:
        raise ValueError(f"the stage {stage} failed; its message is above. The same command goes on from here")
