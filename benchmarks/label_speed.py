"""Frames per second of ``feat2go label`` beside those of the bare encoder on the same frames, and its peak memory.

python benchmarks/label_speed.py

``feat2go label`` is called as a function with the words of its command line, and does everything from parsing them to
the parquet: build the encoder, read and decompress the episodes, encode, cut into stages, compute the target, write.
Left out are Python's start and its imports: a constant, whatever the size of the dataset, that would only tell how
small this one is. The bare encoder has been built before, finds all frames in memory, gets them in full batches, which
an episode's end cuts off for ``label``, and drops what it computes. Both compute with one thread; ``label`` has two
more, which only read the next episode and write the last one's features. Of the encoders, one is so quick that
everything else would show, and one is what a first look at a dataset is best taken with.

No features are in the cache. ``label`` runs without it, then with one that is empty: that is what a first
``feat2go label`` does. Clusterings that look at all episodes of a task together need the features twice: they are
measured with the empty cache, without which they would be computed twice.

Peak memory is that of processes of their own that label N and 4 N episodes, with patches of plain pixels for features:
a small encoder, so that what is left of an episode when it is done would show.
"""

from __future__ import annotations

import argparse
import os

# Before numpy is imported, or its threads are already there.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from interleaved import in_turns, relative_speed
from record import ROOT, write

from feat2go.cli.main import main as feat2go
from feat2go.core.files import home
from feat2go.data import open_dataset
from feat2go.registry import ENCODERS

RESULT = Path(__file__).parent / "results" / "label_speed.json"
BARE = "bare encoder"
STATUS = "/proc/self/status"
# Encoder -> how many episodes, of some 14 frames each.
NUM_EPISODES = {"mobilenet_v2": 80, "dinov2_small": 8}
# Name -> clustering, and whether there is a cache, empty at first.
VARIANTS = {
    "trend, no cache": ("trend", False),
    "trend, empty cache": ("trend", True),
    "trend_agglomerative, empty cache": ("trend_agglomerative", True),
}


def collect(folder: Path, num_episodes: int) -> None:
    """Demonstrations as the demo's, 64x64."""
    with contextlib.redirect_stderr(io.StringIO()):
        config = ROOT / "configs" / "collect_tabletop.yaml"
        feat2go(["collect", "--config", str(config), f"--output={folder}", f"--num_episodes={num_episodes}"])


def label_words(dataset: Path, encoder: str, clustering: str, has_cache: bool) -> list[str]:
    """The command line."""
    output = dataset.with_suffix(".parquet")
    options = f"--encoder={encoder} --clustering={clustering} --cache={str(has_cache).lower()} --output={output}"
    return ["label", str(dataset), *options.split()]


def labelling(words: Sequence[str], features: Path) -> Callable[[], None]:
    """``feat2go label`` with these words, whose cache, if any, holds nothing."""

    def run() -> None:
        shutil.rmtree(features, ignore_errors=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            feat2go(words)

    return run


def encoding(encoder_name: str, frames: torch.Tensor) -> Callable[[], None]:
    """The bare encoder over frames in memory."""
    encoder = ENCODERS.get(encoder_name)()

    def run() -> None:
        with torch.no_grad():
            for batch in frames.split(encoder.batch_size):
                encoder.network(batch)

    return run


def measure_speed(dataset: Path, encoder: str, scratch_home: Path, repeats: int) -> dict[str, Any]:
    """Frames per second of each way, and how fast it is beside the bare encoder."""
    frames = torch.from_numpy(np.concatenate([np.asarray(episode.view()[:]) for episode in open_dataset(dataset)]))
    ways = {BARE: encoding(encoder, frames)}
    for name, (clustering, has_cache) in VARIANTS.items():
        words = label_words(dataset, encoder, clustering, has_cache)
        ways[name] = labelling(words, scratch_home / "features")
    clocks = in_turns(ways, repeats)
    return {
        "num_frames": len(frames),
        "speed": {
            name: {
                "frames_per_s": round(len(frames) / min(clock.wall), 2),
                **relative_speed(clock, clocks[BARE]),
                **clock.to_json(),
            }
            for name, clock in clocks.items()
        },
    }


def peak_bytes(words: Sequence[str]) -> int:
    """Of a process that runs ``feat2go`` with these words.

    Raises:
        RuntimeError: if it fails.
    """
    # What the system says of a child that has ended includes what its parent held when it was started.
    script = f"import sys; from feat2go.cli.main import main; main(sys.argv[1:]); print(open({STATUS!r}).read())"
    ended = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"feat2go {' '.join(words)} ended with {ended.returncode}: {ended.stderr}")
    return status_bytes("VmHWM", ended.stdout)


def status_bytes(field: str, status: str) -> int:
    """A field in KiB of what Linux says of a process."""
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))


def measure_memory(scratch: Path, num_episodes: int) -> dict[str, Any]:
    """Peak memory of labelling N and 4 N episodes."""
    peaks = {}
    for number in (num_episodes, 4 * num_episodes):
        dataset = scratch / f"memory_{number}"
        collect(dataset, number)
        peaks[number] = peak_bytes(label_words(dataset, "pixels", "trend", has_cache=False))
    few, many = peaks.values()
    return {
        "peak_mib": {str(number): round(peak / 2**20, 1) for number, peak in peaks.items()},
        "peak_ratio": round(many / few, 4),
        "kib_per_further_episode": round((many - few) / (3 * num_episodes) / 2**10, 2),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("--encoders", nargs="+", default=list(NUM_EPISODES), choices=NUM_EPISODES, metavar="NAME")
    parser.add_argument("--num-memory-episodes", type=int, default=150, help="N; processes label N and 4 N")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        # Weights as they are, no features.
        (scratch / "home").mkdir()
        (scratch / "home" / "weights").symlink_to((home() / "weights").absolute())
        os.environ["FEAT2GO_HOME"] = str(scratch / "home")
        rows = []
        for encoder in arguments.encoders:
            dataset = scratch / f"speed_{encoder}"
            collect(dataset, NUM_EPISODES[encoder])
            speed = measure_speed(dataset, encoder, scratch / "home", arguments.repeats)
            rows.append({"encoder": encoder, "num_episodes": NUM_EPISODES[encoder], **speed})
            for name, row in speed["speed"].items():
                rate, ratio = row["frames_per_s"], row["ratio"]
                print(f"{encoder}: {name:34}{rate:8.1f} frames/s, {ratio:.3f} of the bare encoder's", flush=True)
        memory = measure_memory(scratch, arguments.num_memory_episodes)
    settings = {"num_memory_episodes": arguments.num_memory_episodes, "repeats": arguments.repeats, "num_threads": 1}
    write(arguments.output, {**settings, "rows": rows, "memory": memory})
    print(f"peak memory: {memory}")


if __name__ == "__main__":
    main()
