"""Processes that have different amounts of work never wait for each other in vain, and count every episode once."""

import json

import numpy as np
import pytest
import torch

from feat2go.core import Episode, ProgressTrack
from feat2go.core.intervals import wilson
from feat2go.core.seeding import episode_seed
from feat2go.data import DatasetInfo, EpisodeWriter
from feat2go.progress.table import label_writer

# Nine frames to clone. Value models are validated with the failures and one success, so that the first of two processes
# sees no success and the second one has an episode less.
SUCCESS = (False, True, True, True, False)
T = 4


def demonstrations(folder):
    """Episodes and labels."""
    rng = np.random.default_rng(0)
    writer = EpisodeWriter(folder / "episodes", DatasetInfo("noise", ("base",), 32, 10.0, 7, 0, ()))
    with label_writer(folder / "labels.parquet", {}) as append:
        for number, success in enumerate(SUCCESS):
            frames = rng.integers(0, 256, (T, 32, 32, 3), dtype=np.uint8)
            actions = rng.uniform(-1, 1, (T - 1, 7)).astype(np.float32)
            name, seed = f"noise-{number}", episode_seed("train", number)
            writer.write(Episode({"base": frames}, "act", actions, None, success, None, name, "noise", seed, 10.0))
            if success:
                append(name, ProgressTrack(torch.linspace(0, 1, T), torch.zeros(T).long(), torch.zeros(T)))
    return {"episodes": str(folder / "episodes"), "labels": str(folder / "labels.parquet")}


@pytest.fixture(scope="module")
def outcomes(start, tmp_path_factory):
    """The same training by one process and, sharded, by two, whose episodes have different lengths."""
    data = demonstrations(tmp_path_factory.mktemp("demonstrations"))
    folders = {size: tmp_path_factory.mktemp(f"of_{size}") for size in (1, 2)}
    jobs = [start("uneven.py", size, folder, **data) for size, folder in folders.items()]
    for job in jobs:
        job.succeed()
    return {size: json.loads((folder / "metrics.json").read_text()) for size, folder in folders.items()}


def test_all_updates_are_made_though_one_process_had_nothing_to_learn_from(outcomes):
    assert [outcome["global_step"] for outcome in outcomes.values()] == [9, 9]


def test_evaluation_is_that_of_one_process(outcomes):
    seeds = [episode_seed("development", i) for i in range(5)]
    num_successes = sum(seed % 3 == 0 for seed in seeds)
    low, high = wilson(num_successes, 5)
    for outcome in outcomes.values():
        assert outcome["logged"]["val/success_at_end"] == pytest.approx(num_successes / 5)
        assert outcome["logged"]["val/success_at_end_low"] == pytest.approx(low)
        assert outcome["logged"]["val/success_at_end_high"] == pytest.approx(high)
    first, second = (set(played) for played in outcomes[2]["played"])
    assert first | second == set(seeds)
    assert not first & second


def test_metrics_of_rollouts_are_those_of_all_processes(outcomes):
    alone, together = (outcomes[size]["logged"] for size in (1, 2))
    assert alone["rollout/num_episodes"] == 4
    assert together["rollout/num_episodes"] == 8
    # Three rollouts of four episodes: of 3 actions each on rank 0, of 5 on rank 1.
    assert alone["rollout/env_steps"] == 3 * 4 * 3
    assert together["rollout/env_steps"] == 3 * 4 * (3 + 5)
    assert together["rollout/return"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("kind", "names"), [("cloning", ["nll", "entropy"]), ("value", ["voc", "mae", "terminal_auroc"])]
)
def test_every_demonstration_counts_once_in_validation(outcomes, kind, names):
    alone, together = (outcomes[size][kind] for size in (1, 2))
    assert {f"val/{name}" for name in names} <= alone.keys()
    assert together == pytest.approx(alone, rel=1e-5)
