from dataclasses import replace

import pytest

from feat2go.report.comparison import comparisons, sparse_note, verdict
from feat2go.rollouts.tables import SuccessRate


def rate(num_successes, num_episodes=20):
    return SuccessRate.of([i < num_successes for i in range(num_episodes)])


def test_the_start_and_the_result_of_a_fit_are_paired_by_their_paths(slide, find):
    (pair,) = comparisons(find(slide))
    assert (pair.before.name, pair.after.name, pair.fit.name) == ("before", "after", "ppo")
    assert pair.differences == []


def test_a_pair_under_the_same_conditions_is_preferred(slide, make, find):
    make.evaluation(slide / "a_before", "runs/slide/bc", make.evaluation_rows(2), temperature="1.0")
    make.evaluation(slide / "z_before", "runs/slide/bc/policy", make.evaluation_rows(2, num_episodes=10))
    (pair,) = comparisons(find(slide))
    assert pair.before.name == "before"
    pair = replace(pair, before=next(one for one in find(slide).evaluations if one.name == "a_before"))
    assert pair.differences == ["temperature"]
    pair = replace(pair, before=next(one for one in find(slide).evaluations if one.name == "z_before"))
    assert pair.differences == ["episodes"]


def test_evaluations_of_other_policies_are_no_pair(slide, make, find):
    make.evaluation(slide / "before", "runs/other/bc", make.evaluation_rows(4))
    assert comparisons(find(slide)) == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (4, 15, "+55.0 points. The intervals do not overlap: the choice of episodes hardly explains the rise."),
        (15, 4, "−55.0 points. The intervals do not overlap: the choice of episodes hardly explains the fall."),
        (4, 7, "+15.0 points. The intervals overlap, so these episodes alone do not show a difference."),
        (7, 4, "−15.0 points. The intervals overlap, so these episodes alone do not show a difference."),
        (7, 7, "No change."),
    ],
)
def test_a_verdict_claims_no_more_than_the_intervals(before, after, words):
    assert verdict(rate(before), rate(after)).replace("\N{NO-BREAK SPACE}", " ") == words


def test_nothing_is_said_for_the_value_reward_without_a_sparse_run(slide, find):
    runs = find(slide)
    assert "was not part of this run" in sparse_note(runs, comparisons(runs))


@pytest.mark.parametrize(
    ("num_successes", "words"),
    [(14, "do not show that one reward did better"), (2, "ppo did better"), (20, "do not overlap: ppo_sparse did")],
)
def test_a_sparse_run_is_compared_where_it_was_evaluated(slide, make, find, num_successes, words):
    make.fit(slide / "ppo_sparse", make.rl_config("feat2go.rewards.terminal.Sparse"), make.rl_rows())
    runs = find(slide)
    assert "nothing here says which reward did better" in sparse_note(runs, comparisons(runs))
    make.evaluation(slide / "after_sparse", "runs/slide/ppo_sparse", make.evaluation_rows(num_successes))
    runs = find(slide)
    if num_successes == 20:
        make.evaluation(slide / "after", "runs/slide/ppo", make.evaluation_rows(6))
        runs = find(slide)
    assert words in sparse_note(runs, comparisons(runs))
