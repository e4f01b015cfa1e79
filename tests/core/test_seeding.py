import itertools

import pytest
import torch

from feat2go.core.seeding import SPLITS, episode_seed, generator, require_split, rollout_seeds, split_of


def test_splits_are_disjoint():
    for split in SPLITS:
        assert split_of(episode_seed(split, 0)) == split
        assert split_of(episode_seed(split, 999_999_999)) == split
    assert len({episode_seed(split, 7) for split in SPLITS}) == 3
    assert episode_seed("evaluation", 999_999_999) < 2**32  # numpy's RandomState takes no more


@pytest.mark.parametrize(("split", "index"), [("train", -1), ("train", 10**9), ("holdout", 0)])
def test_what_is_no_episode_is_refused(split, index):
    with pytest.raises(ValueError, match="unknown split|outside"):
        episode_seed(split, index)


def test_an_overlap_is_refused():
    require_split([0, 5], ["train"], "demonstrations")
    with pytest.raises(
        ValueError, match="seed 2000000003 is from the evaluation split, but demonstrations may only use: train"
    ):
        require_split([0, episode_seed("evaluation", 3)], ["train"], "demonstrations")
    with pytest.raises(ValueError, match="belongs to no split"):
        split_of(3 * 10**9)


def test_ranks_and_runs_share_no_episode():
    drawn = [set(itertools.islice(rollout_seeds(run, rank, 2), 500)) for run, rank in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert len(set.union(*drawn)) == 2000
    assert all(split_of(seed) == "train" for seed in set.union(*drawn))


def test_rollouts_never_meet_demonstrations():
    assert next(rollout_seeds(0, 0, 1)) > episode_seed("train", 99_999_999)


def test_a_resumed_stream_goes_on():
    stream = list(itertools.islice(rollout_seeds(3, 1, 2), 10))
    assert list(itertools.islice(rollout_seeds(3, 1, 2, start=4), 6)) == stream[4:]


def test_generators_differ_by_any_part():
    draws = {torch.rand(1, generator=generator(*parts)).item() for parts in [(0, 0, "a"), (0, 1, "a"), (0, 0, "b")]}
    assert len(draws) == 3
    assert torch.equal(torch.rand(3, generator=generator(1, "x")), torch.rand(3, generator=generator(1, "x")))
