import itertools

import pytest
import torch

from feat2go.core import Observation, PolicyEvaluation, PolicyOutput, Step
from feat2go.core.seeding import generator
from feat2go.rewards import Sparse, TerminalValue
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.loader import RolloutLoader
from feat2go.rollouts.relabel import outcome_metrics, relabel, terminal_values


class CountingEnv:
    """Shows its own step count. Even seeds end in success after 3 actions, odd ones at the limit of 5."""

    env_id, action_dim, state_dim, cameras, image_size = "counting", 2, 1, ("base",), 1
    max_episode_steps, fps, milestones = 5, 1.0, ("done",)

    def __init__(self, num_envs=2, lost_step=None):
        self.num_envs = num_envs
        self.terminate_on_success = True
        self.lost_step = lost_step
        self.num_calls = 0

    def reset(self, seeds):
        self.seeds, self.count = list(seeds), [0] * self.num_envs
        return self._observe(range(self.num_envs))

    def _observe(self, rows):
        count = torch.tensor([[float(self.count[n])] for n in rows])
        image = count.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 1, 3).clone()
        return Observation({"base": image}, count, [f"seed {self.seeds[n]}" for n in rows])

    def step(self, actions, next_seeds=None):
        num_actions = actions.shape[1]
        flags = {k: torch.zeros(self.num_envs, num_actions, dtype=torch.bool) for k in ("term", "trunc", "valid")}
        self.num_calls += 1
        is_lost = self.num_calls == self.lost_step
        final_index, final = [], []
        for n in range(self.num_envs):
            if is_lost and n == 0:
                self.count[0], self.seeds[0] = 0, next_seeds[0]
                continue
            for c in range(num_actions):
                self.count[n] += 1
                flags["valid"][n, c] = True
                flags["term"][n, c] = self.seeds[n] % 2 == 0 and self.count[n] == 3
                flags["trunc"][n, c] = self.count[n] == 5
                if flags["term"][n, c] or flags["trunc"][n, c]:
                    final_index.append(n)
                    final.append(self._observe([n]))
                    self.count[n], self.seeds[n] = 0, next_seeds[n]
                    break
        empty = self._observe([])
        return Step(
            observation=self._observe(range(self.num_envs)),
            terminated=flags["term"],
            truncated=flags["trunc"],
            success=flags["term"],
            valid=flags["valid"],
            milestone=torch.zeros(self.num_envs, num_actions, dtype=torch.int64),
            final_index=torch.tensor(final_index, dtype=torch.int64),
            final_observation=Observation.concat([*final, empty]),
        )


class CountingPolicy(torch.nn.Module):
    """Its critic's value is the step count that it sees, plus 10."""

    action_dim, chunk, config = 2, 1, {}

    def preprocess(self, images, instructions, state=None):
        return {"state": state}

    def act(self, *, temperature=1.0, generator=None, state):
        num_rows = len(state)
        tokens = torch.randint(0, 9, (num_rows, 2 * self.chunk), generator=generator)
        return PolicyOutput(torch.zeros(num_rows, self.chunk, 2), tokens, -tokens.float(), state[:, 0] + 10)

    def evaluate(self, tokens, *, temperature=1.0, state):
        return PolicyEvaluation(-tokens.float(), tokens.float(), state[:, 0] + 10)


def collect(num_steps=7, chunk=1, seeds=None, **settings):
    policy = CountingPolicy()
    policy.chunk = chunk
    collector = Collector(CountingEnv(**settings), num_steps, iter(seeds) if seeds else itertools.count())
    return collector.collect(policy, 1.0, generator(0)), collector, policy


def test_a_rollout_is_time_major_and_ends_where_episodes_end():
    rollout, collector, _ = collect()
    # Environment 0 plays seed 0 (ends at t=2), then seed 2 (t=5); environment 1 plays seed 1 (limit at t=4).
    assert rollout.final_index.tolist() == [[2, 0], [4, 1], [5, 0]]
    assert rollout.final_success.tolist() == [True, False, True]
    assert rollout.terminated[:, 0].nonzero()[:, 0].tolist() == [2, 5]
    assert rollout.truncated[:, 1].nonzero()[:, 0].tolist() == [4]
    assert rollout.observation.state.view(7, 2)[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert collector.num_env_steps == 14


def test_the_critic_sees_the_true_final_observation_and_what_follows():
    rollout, _, _ = collect()
    assert rollout.bootstrap[4, 1].item() == 15.0  # the fifth frame, not the next episode's first
    assert rollout.bootstrap.count_nonzero().item() == 1
    assert rollout.last_value.tolist() == [11.0, 12.0]


def test_episodes_run_on_into_the_next_rollout():
    _, collector, policy = collect(num_steps=2)
    again = collector.collect(policy, 1.0, generator(1))
    assert again.final_index.tolist() == [[0, 0]]
    assert again.observation.state.view(2, 2)[0].tolist() == [2.0, 2.0]


def test_no_seed_is_played_twice():
    rollout, collector, policy = collect(num_steps=40)
    played = {*rollout.observation.instruction, *collector.collect(policy, 1.0, generator(1)).observation.instruction}
    assert played == {f"seed {seed}" for seed in range(len(played))}
    assert collector.num_seeds == len(played) + 2  # the two that wait for their turn


def test_an_end_inside_a_chunk_leaves_later_actions_invalid():
    rollout, _, _ = collect(num_steps=3, chunk=2)
    assert rollout.valid[1, 0].tolist() == [True, False]
    assert rollout.terminated[1, 0].item()
    assert rollout.tokens.shape == (3, 2, 4)


def test_nothing_flows_over_a_lost_episode():
    rollout, _, _ = collect(num_steps=2, lost_step=2, seeds=itertools.count(1))
    assert not rollout.valid[1, 0].any()
    assert rollout.truncated[1, 0].item()
    assert rollout.bootstrap[1, 0].item() == rollout.value[1, 0].item()
    assert len(rollout.final_index) == 0


class FixedPredictor:
    def __init__(self):
        self.num_calls = 0

    def predict(self, images, instruction):
        self.num_calls += 1
        return images[:, 0, 0, 0].float() / 10


def test_terminal_value_is_paid_once_and_replaces_the_bootstrap():
    rollout, _, _ = collect()
    predictor = FixedPredictor()
    values = terminal_values(rollout, predictor)
    shaped = relabel(rollout, TerminalValue(), values)
    assert predictor.num_calls == 1
    torch.testing.assert_close(values, torch.tensor([0.3, 0.5, 0.3]))
    assert shaped.reward[2, 0] == shaped.reward[5, 0] == 1.0
    assert shaped.reward[4, 1] == 0.5
    assert shaped.reward.count_nonzero() == 3
    assert shaped.bootstrap.count_nonzero() == 0
    assert rollout.reward.count_nonzero() == 0


def test_sparse_keeps_the_bootstrap_and_needs_no_value_model():
    rollout, _, _ = collect()
    values = terminal_values(rollout, None)
    shaped = relabel(rollout, Sparse(), values)
    assert values.isnan().all()
    assert shaped.reward.sum() == 2.0
    assert shaped.bootstrap[4, 1] == 15.0
    metrics = outcome_metrics(shaped, values)
    assert metrics["success"] == pytest.approx(2 / 3)
    assert metrics["num_episodes"] == 3


def test_metrics_tell_successes_and_failures_apart():
    rollout, _, _ = collect()
    values = torch.tensor([0.9, 0.4, 0.7])
    metrics = outcome_metrics(relabel(rollout, TerminalValue(), values), values)
    assert metrics["terminal_value_success"] == pytest.approx(0.8)
    assert metrics["terminal_value_failure"] == pytest.approx(0.4)
    assert metrics["return"] == pytest.approx(2.4 / 3)
    assert metrics["reward_from_value"] == pytest.approx(0.4 / 3)


def test_loader_collects_when_asked_and_covers_the_rollout_every_epoch():
    from feat2go.algorithms import PPO

    num_collected = 0

    def make():
        nonlocal num_collected
        num_collected += 1
        rollout, _, _ = collect()
        return PPO(normalise_advantage=False).prepare(rollout)

    loader = RolloutLoader(make, num_epochs=2, num_minibatches=3, generator=generator(0))
    assert len(loader) == 6
    batches = iter(loader)
    assert num_collected == 0
    rows = [batch.logprob for batch in batches]
    assert num_collected == 1
    assert len(rows) == 6
    first, second = torch.cat(rows[:3]), torch.cat(rows[3:])
    assert len(first) == 14
    assert not torch.equal(first, second)
    assert torch.equal(first.sort(dim=0).values, second.sort(dim=0).values)


def test_a_rollout_too_small_for_its_minibatches_is_refused():
    from feat2go.algorithms import PPO

    loader = RolloutLoader(lambda: PPO().prepare(collect(num_steps=1)[0]), 1, 3, generator(0))
    with pytest.raises(ValueError, match="2 decisions can't be cut into 3 minibatches"):
        next(iter(loader))
