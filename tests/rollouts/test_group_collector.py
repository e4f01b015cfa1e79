import itertools

import pytest
import torch

from feat2go.core import PolicyOutput
from feat2go.core.seeding import generator
from feat2go.rollouts.group_collector import GroupCollector


class RandomSpeed(torch.nn.Module):
    """Goes forward at a random speed. Its critic's value is where it is, plus 10."""

    action_dim, chunk, config = 2, 1, {}

    def __init__(self):
        super().__init__()
        self.num_rows = 0

    def preprocess(self, images, instructions, state=None):
        return {"state": state}

    def act(self, *, temperature=1.0, generator=None, state):
        self.num_rows += len(state)
        speed = 0.25 * torch.randint(1, 5, (len(state), self.chunk, 1), generator=generator)
        actions = torch.cat([speed, torch.zeros_like(speed)], -1)
        tokens = (4 * actions).long().flatten(1)
        return PolicyOutput(actions, tokens, -tokens.float(), state[:, 0] + 10)


def collect(env, num_episodes=8, group_size=4, chunk=1, num_rollouts=1):
    env.terminate_on_success = True
    policy = RandomSpeed()
    policy.chunk = chunk
    collector = GroupCollector(env, num_episodes, group_size, itertools.count(100))
    rollouts = [collector.collect(policy, 1.0, generator(i)) for i in range(num_rollouts)]
    return rollouts[-1], collector, policy


def test_a_rollout_is_whole_groups_of_whole_episodes(track):
    rollout, collector, _ = collect(track(4))
    assert len(rollout.final_index) == 8
    ends = rollout.final_index
    group = rollout.group[ends[:, 0], ends[:, 1]]
    assert sorted(group.tolist()) == [0] * 4 + [1] * 4
    assert collector.env.started == [100] * 4 + [101] * 4
    assert collector.num_seeds == 2
    # Everything that was carried out belongs to an episode that ended.
    assert torch.equal(rollout.valid.any(-1), rollout.episode >= 0)
    assert collector.num_env_steps == rollout.valid.sum()


def test_episodes_of_a_group_begin_alike_and_go_different_ways(track):
    rollout, _, _ = collect(track(8), num_episodes=8, group_size=8)
    first = rollout.observation.state.view(len(rollout.valid), 8)[0]
    assert first.unique().numel() == 1
    assert len({tuple(tokens) for tokens in rollout.tokens[:4, :, 0].T.tolist()}) > 1


@pytest.mark.parametrize(("num_envs", "group_size"), [(2, 4), (8, 4), (4, 8), (4, 1)])
def test_groups_need_not_fit_the_environments(track, num_envs, group_size):
    rollout, collector, _ = collect(track(num_envs), group_size=group_size)
    seed_of = torch.tensor([100 + g for g in range(8 // group_size)])
    starts = torch.tensor(collector.env.started)
    assert torch.equal(starts, seed_of.repeat_interleave(group_size))
    ends = rollout.final_index
    assert rollout.group[ends[:, 0], ends[:, 1]].bincount().tolist() == [group_size] * (8 // group_size)


def test_an_episode_that_is_over_idles_and_the_policy_is_not_asked(track):
    rollout, _, policy = collect(track(4))
    acted = rollout.valid.any(-1)
    assert not acted.all(), "all episodes were equally long: this shows nothing"
    # At the end, the critic sees what the time limit cut off and what follows the last decision.
    num_cut_off = int((rollout.truncated & acted).sum())
    assert 0 < num_cut_off < len(rollout.final_index) == 8
    assert policy.num_rows == acted.sum() + num_cut_off + 4
    assert not rollout.tokens[~acted].any()
    assert not (rollout.terminated & ~acted).any()


def test_nothing_flows_over_an_idle_decision(track):
    rollout, _, _ = collect(track(4))
    idle = ~rollout.valid.any(-1)
    assert rollout.truncated[idle].all()
    assert (rollout.success & idle).sum() == 0


def test_an_episode_that_is_lost_begins_again(track):
    rollout, collector, _ = collect(track(4, lost={(100, 2)}), num_episodes=4)
    assert collector.env.started.count(100) == 5
    assert len(rollout.final_index) == 4
    lost = ~rollout.valid.any(-1) & (rollout.episode < 0)
    assert (rollout.valid.any(-1) & (rollout.episode < 0)).sum() == 2  # the two decisions before the loss
    assert lost.any()


def test_success_inside_a_chunk_is_kept_for_each_action(track):
    rollout, _, _ = collect(track(4), chunk=3)
    ends = rollout.final_index
    last = rollout.valid[ends[:, 0], ends[:, 1]].sum(-1) - 1
    solved = rollout.solved[ends[:, 0], ends[:, 1]].gather(1, last[:, None])[:, 0]
    assert torch.equal(solved, rollout.final_success)
    assert rollout.final_success.any()


def test_the_next_rollout_has_new_groups(track):
    _, collector, _ = collect(track(4), num_rollouts=2)
    assert collector.env.started == [seed for seed in (100, 101, 102, 103) for _ in range(4)]
    state = collector.state_dict()
    other = GroupCollector(track(4), 8, 4, itertools.count(104))
    other.load_state_dict(state)
    assert (other.num_seeds, other.num_env_steps) == (4, collector.num_env_steps)


@pytest.mark.parametrize(("num_episodes", "group_size"), [(6, 2), (8, 3), (0, 1), (8, 0)])
def test_episodes_that_can_not_be_shared_out_are_refused(track, num_episodes, group_size):
    with pytest.raises(ValueError, match=r"multiple of num_envs \(4\) and of group_size"):
        GroupCollector(track(4), num_episodes, group_size, itertools.count())
