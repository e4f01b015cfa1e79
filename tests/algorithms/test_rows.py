"""Advantages and masks of rollouts, worked out by hand."""

import pytest
import torch

from feat2go.algorithms.rows import counted_actions, per_decision, require_groups, rollout_gae, training_rows


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_an_episode_that_ends_inside_a_chunk_judged_by_decisions(make_rollout):
    rollout = make_rollout(
        2, 1, chunk=3, ends=[(0, 0, 1, True)], value=[[0.5], [0.25]], reward=column(1, 0), last_value=column(1)[0]
    )
    # gamma .5, lambda .5: the end cuts off what follows, 1 - .5; then 0 + .5 * 1 - .25.
    torch.testing.assert_close(rollout_gae(rollout, 0.5, 0.5), column(0.5, 0.25))


def test_an_episode_that_ends_inside_a_chunk_judged_by_actions(make_rollout):
    """Success with the second of three actions: the reward belongs to that one, the third never happened."""
    rollout = make_rollout(
        2,
        1,
        chunk=3,
        ends=[(0, 0, 1, True)],
        value=[[[0.5, 0.25, 9.0]], [[0.5, 1.0, 0.5]]],
        reward=column(1, 0),
        last_value=column(2)[0],
    )
    advantage = rollout_gae(rollout, 0.5, 0.5)
    # Backwards, gamma * lambda = .25. The second decision: .5*2 - .5 = .5; .5*.5 - 1 + .25*.5 = -.625;
    # .5*1 - .5 - .25*.625 = -.15625. The first: 1 - .25 = .75; .5*.25 - .5 + .25*.75 = -.1875.
    assert advantage[1, 0].tolist() == pytest.approx([-0.15625, -0.625, 0.5], abs=1e-12)
    assert advantage[0, 0, :2].tolist() == pytest.approx([-0.1875, 0.75], abs=1e-12)


def test_a_time_limit_inside_a_chunk_bootstraps_behind_its_last_action(make_rollout):
    rollout = make_rollout(
        2,
        1,
        chunk=2,
        ends=[(0, 0, 0, False)],
        value=[[[0.5, 9.0]], [[0.25, 0.75]]],
        bootstrap=column(3, 0),
        last_value=column(1)[0],
    )
    advantage = rollout_gae(rollout, 0.5, 1.0)
    # The first action: .5*3 - .5. The next episode: .5*1 - .75 = -.25; .5*.75 - .25 - .5*.25 = 0.
    assert advantage[0, 0, 0].item() == pytest.approx(1.0)
    assert advantage[1, 0].tolist() == pytest.approx([0.0, -0.25])


def test_a_time_limit_judged_by_decisions_bootstraps(make_rollout):
    rollout = make_rollout(
        2, 1, ends=[(0, 0, 0, False)], value=[[0.5], [0.25]], bootstrap=column(3, 0), last_value=column(1)[0]
    )
    torch.testing.assert_close(rollout_gae(rollout, 0.5, 0.5), column(1.0, 0.25))


@pytest.mark.parametrize("seed", range(3))
def test_chunks_of_one_action_are_the_same_either_way(make_rollout, seed):
    generator = torch.Generator().manual_seed(seed)
    reward, value, bootstrap = torch.randn(3, 6, 4, generator=generator, dtype=torch.float64)
    settings = {"ends": [(1, 0, 0, True), (2, 3, 0, False)], "reward": reward, "bootstrap": bootstrap}
    by_decision = rollout_gae(make_rollout(6, 4, value=value, **settings), 0.9, 0.8)
    by_action = rollout_gae(make_rollout(6, 4, value=value[..., None], **settings), 0.9, 0.8)
    torch.testing.assert_close(by_action[..., 0], by_decision, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_with_full_chunks_actions_are_short_decisions(make_rollout, seed):
    """Six decisions of two actions are twelve of one, in which only every second one can be rewarded."""
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(6, 3, 2, generator=generator, dtype=torch.float64)
    reward = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    ends = [(2, 1, 1, True), (4, 0, 1, True)]
    advantage = rollout_gae(make_rollout(6, 3, chunk=2, ends=ends, value=value, reward=reward), 0.9, 0.8)
    fine_reward = torch.zeros(12, 3, dtype=torch.float64)
    fine_reward[1::2] = reward
    fine = make_rollout(
        12,
        3,
        ends=[(2 * t + 1, n, 0, success) for t, n, _, success in ends],
        value=value.transpose(1, 2).reshape(12, 3),
        reward=fine_reward,
    )
    expected = rollout_gae(fine, 0.9, 0.8).reshape(6, 2, 3).transpose(1, 2)
    torch.testing.assert_close(advantage, expected, rtol=1e-12, atol=1e-12)


def test_actions_behind_a_success_do_not_count_where_the_environment_goes_on(make_rollout):
    """Three actions to a decision; success is first seen at the second action of the second decision."""
    solved = torch.zeros(3, 3, 3, dtype=torch.bool)
    solved[1:, 0] = torch.tensor([[False, True, True], [True, True, True]])  # solved, and stays so
    solved[0, 1, 1] = True  # solved once and lost again: a failure
    ends = [(2, 0, 2, True), (2, 1, 2, False)]
    rollout = make_rollout(3, 3, chunk=3, ends=ends, solved=solved)
    counted = counted_actions(rollout)
    assert counted[:, 0].tolist() == [[True] * 3, [True, True, False], [False] * 3]
    assert counted[:, 1].all(), "what lost the success belongs to the failure"
    assert not counted[:, 2].any(), "how this one ends is not known"


def test_a_success_does_not_reach_into_the_next_episode(make_rollout):
    solved = torch.tensor([[[True]], [[False]], [[True]]])
    rollout = make_rollout(3, 1, ends=[(0, 0, 0, True), (2, 0, 0, True)], solved=solved)
    assert counted_actions(rollout).all()


def test_actions_that_were_not_carried_out_do_not_count(make_rollout):
    rollout = make_rollout(2, 1, chunk=2, ends=[(1, 0, 0, True)])
    assert counted_actions(rollout)[:, 0].tolist() == [[True, True], [True, False]]


def test_the_discount_counts_from_the_last_decision_that_counts(make_rollout):
    rollout = make_rollout(3, 2, ends=[(1, 0, 0, True), (2, 1, 0, False)])
    counted = rollout.valid & (rollout.episode >= 0)[..., None]
    advantage = per_decision(torch.tensor([2.0, -1.0]), rollout, counted, gamma=0.5)
    assert advantage.T.tolist() == [[1.0, 2.0, 0.0], [-0.25, -0.5, -1.0]]
    counted[2, 1] = False
    assert per_decision(torch.tensor([2.0, -1.0]), rollout, counted, 0.5)[:, 1].tolist() == [-0.5, -1.0, 0.0]
    assert per_decision(torch.tensor([2.0, -1.0]), rollout, counted, 1.0)[:, 1].tolist() == [-1.0, -1.0, 0.0]


def test_rows_have_the_masks_of_their_tokens(make_rollout):
    rollout = make_rollout(2, 1, chunk=2, action_dim=3, ends=[(0, 0, 0, True)])
    zeros = torch.zeros(2, 1)
    rows = training_rows(rollout, rollout.valid, zeros, zeros)
    assert rows.mask.tolist() == [[True] * 3 + [False] * 3, [True] * 6]
    counted = rollout.valid.clone()
    counted[0] = False
    assert len(training_rows(rollout, counted, zeros, zeros)) == 1
    nothing = training_rows(rollout, torch.zeros_like(counted), zeros, zeros)
    assert len(nothing) == 2
    assert not nothing.mask.any()


def test_the_episode_of_each_decision(make_rollout):
    valid = torch.ones(4, 3, 1, dtype=torch.bool)
    valid[2, 1] = False  # its simulation was lost: the episode before belongs to nothing
    valid[3, 2] = False  # idles
    rollout = make_rollout(4, 3, ends=[(1, 0, 0, True), (2, 2, 0, True), (3, 1, 0, False)], valid=valid)
    assert rollout.episode.T.tolist() == [[0, 0, -1, -1], [-1, -1, -1, 2], [1, 1, 1, -1]]


def test_without_groups_there_is_nothing_to_compare(make_rollout):
    ends = [(0, 0, 0, True), (0, 1, 0, True)]
    for group in (None, torch.tensor([[0, 1]])):
        with pytest.raises(ValueError, match=r"grpo compares episodes .* set data.num_episodes"):
            require_groups(make_rollout(1, 2, ends=ends, group=group), "grpo")
    assert require_groups(make_rollout(1, 2, ends=ends, group=torch.tensor([[3, 3]])), "grpo").tolist() == [3, 3]
