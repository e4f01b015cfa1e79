"""A value model of put_on, audited on settings that it has not seen.

``python benchmarks/put_on_value.py [--audited 8] [--work FOLDER]`` collects demonstrations of put_on in distribution,
with detours and without, labels them, fits the value model on both, and audits it on other episodes: in distribution
and of settings with other tables, objects and positions. All through ``feat2go``, with its configs for put_on. A folder
that is given keeps what was made, and the same command goes on there: after ``put_on_policy.py``, in ``runs/put_on``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import record
import yaml
from commands import feat2go, held_out

RESULT = Path(__file__).parent / "results" / "put_on_value.json"
DOCS = record.ROOT / "docs" / "audit.md"
MARKS = ("<!-- put_on: begin -->", "<!-- put_on: end -->")
SETTINGS = ("in_distribution", "unseen_table", "unseen_object", "unseen_position")
METRICS = ("voc", "pair_accuracy", "milestone_spread", "elapsed_spread", "explained_variance", "mae")
COLUMNS = ("voc", "pair_accuracy", "milestone_spread", "explained_variance")
LABEL, VALUE, AUDIT = (f"configs/{kind}_put_on.yaml" for kind in ("label", "value", "audit"))
# Folder -> what is trained on.
COLLECT = {"demonstrations": "configs/collect_put_on.yaml", "few": "configs/collect_few_put_on.yaml"}
# Behind the episodes that are trained on.
FIRST_AUDITED = 5000


def collect(folder: Path, num_episodes: int, *words: str) -> None:
    """Record demonstrations that aren't there."""
    if len(list((folder / "episodes").glob("*.h5"))) < num_episodes:
        feat2go("collect", *words, f"--output={folder}", f"--num_episodes={num_episodes}")


def train(folder: Path) -> tuple[int, dict[str, float]]:
    """Collect, label and fit: the number of demonstrations; VOC and pair accuracy on the fifth that was held out."""
    num_episodes, value = 0, folder / "value"
    for name, config in COLLECT.items():
        wanted = yaml.safe_load(Path(config).read_text())["num_episodes"]
        collect(folder / name, wanted, f"--config={config}")
        if not (folder / name / "labels.parquet").exists():
            feat2go("label", str(folder / name), f"--config={LABEL}")
        num_episodes += wanted
    if not (value / "value").is_dir():
        feat2go(
            "fit",
            f"--config={VALUE}",
            f"--run_dir={value}",
            f"--data.init_args.dataset=[{','.join(str(folder / name) for name in COLLECT)}]",
            f"--data.init_args.labels=[{','.join(str(folder / name / 'labels.parquet') for name in COLLECT)}]",
        )
    return num_episodes, {name: round(measured, 4) for name, measured in held_out(value).items()}


def audit(folder: Path, setting: str, num_episodes: int) -> dict[str, dict[str, Any]]:
    """Method -> metric -> mean, low, high, on episodes of one setting, of noisy and uneven motion."""
    episodes, output = folder / setting, folder / f"audit_{setting}"
    options = {"setting": setting, "num_envs": 4, "num_workers": 2, "expert_noise": 0.1, "expert_tempo": 0.5}
    flags = [f"--env.init_args.{name}={value}" for name, value in options.items()]
    collect(episodes, num_episodes, "--env=put_on", *flags, f"--first_index={FIRST_AUDITED}")
    value = folder / "value" / "value"
    if not (output / "summary.json").exists():
        feat2go("audit", str(episodes), f"--config={AUDIT}", f"--output={output}", f"--value_model={value}")
    found = json.loads((output / "summary.json").read_text())
    return {
        method: {
            metric: {end: round(figure, 4) for end, figure in own[metric].items()}
            for metric in METRICS
            if metric in own
        }
        for method, own in found.items()
    }


def table(settings: dict[str, Any]) -> str:
    """Markdown: a row per setting and method."""
    lines = [
        "| setting | method | VOC | pair accuracy | spread at milestones | explained variance |",
        "|---|---|---|---|---|---|",
    ]
    for setting, methods in settings.items():
        for method, own in methods.items():
            cells = [f"{own[m]['mean']:.3f} [{own[m]['low']:.3f}, {own[m]['high']:.3f}]" for m in COLUMNS]
            lines.append(f"| {setting} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_docs() -> None:
    """Put the table between the marks of docs/audit.md."""
    settings = json.loads(RESULT.read_text())["settings"]
    head, rest = DOCS.read_text().split(MARKS[0])
    DOCS.write_text(f"{head}{MARKS[0]}\n{table(settings)}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


def main() -> None:
    """Measure and write the JSON and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audited", type=int, default=8, help="episodes of each setting")
    parser.add_argument("--work", type=Path, help="folder that keeps everything; by default nothing is kept")
    parser.add_argument("--docs-only", action="store_true", help="write the table of an earlier run")
    arguments = parser.parse_args()
    if not arguments.docs_only:
        with tempfile.TemporaryDirectory() as temporary:
            folder = arguments.work or Path(temporary)
            num_episodes, held_out = train(folder)
            settings = {setting: audit(folder, setting, arguments.audited) for setting in SETTINGS}
        about = {"label": LABEL, "value": VALUE}
        numbers = {"num_episodes": num_episodes, "num_audited": arguments.audited}
        record.write(RESULT, {**about, **numbers, "held_out": held_out, "settings": settings})
    write_docs()


if __name__ == "__main__":
    main()
