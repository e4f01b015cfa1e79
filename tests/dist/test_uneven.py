"""Processes that have different amounts of work never wait for each other in vain, and count every episode once."""

import json

import pytest

from feat2go.core.intervals import wilson
from feat2go.core.seeding import episode_seed


@pytest.fixture(scope="module")
def outcomes(start, tmp_path_factory):
    """The same training by one process and, sharded, by two, whose episodes have different lengths."""
    folders = {size: tmp_path_factory.mktemp(f"of_{size}") for size in (1, 2)}
    jobs = [start("uneven.py", size, folder) for size, folder in folders.items()]
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
