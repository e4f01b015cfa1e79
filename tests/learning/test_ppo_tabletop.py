"""PPO learns on the tabletop, and does not with the sign of the advantage flipped."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch

from feat2go.algorithms import BC, PPO
from feat2go.core.seeding import generator, rollout_seeds
from feat2go.core.types import PolicyBatch
from feat2go.data.windows import DemonstrationRows
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rewards import Sparse
from feat2go.rollouts.collector import Collector
from feat2go.rollouts.recording import expert_episodes
from feat2go.rollouts.relabel import relabel, terminal_values

NUM_ITERATIONS = 30
EASY = {
    "num_envs": 64,
    "image_size": 32,
    "max_episode_steps": 20,
    "objects": ["cube"],
    "receptacles": ["plate"],
    "colours": ["red", "blue"],
    "num_distractors": 0,
    "num_receptacles": 1,
    "workspace": 0.1,
}


@pytest.fixture(scope="module")
def weak_start():
    """Behaviour cloning of 300 demonstrations, too short to be good."""
    torch.manual_seed(0)
    attempts = expert_episodes(Tabletop(expert_noise=0.03, **EASY), itertools.count())
    rows = DemonstrationRows(list(itertools.islice(attempts, 300)), chunk=1)
    data = DemonstrationRows.collate([rows[i] for i in range(len(rows))])
    policy = TinyVLA(state_dim=6, image_size=32, width=128)
    tokens, mask = policy.encode(data.actions), data.mask.repeat_interleave(7, dim=1)
    algorithm, optimizer = BC(token_noise=2.0), torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(700):
        rows = torch.randint(len(tokens), (64,))
        zeros = torch.zeros(64)
        batch = PolicyBatch(data.observation.select(rows), tokens[rows], mask[rows], zeros, zeros, zeros, zeros)
        step(optimizer, algorithm.loss(policy, batch)[0], policy)
    return policy


def step(optimizer, loss, policy):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()


def train(start, sign):
    """Success of the first and of the last five rollouts."""
    torch.manual_seed(0)
    policy, algorithm, success = copy.deepcopy(start), PPO(logprob_level="token"), []
    optimizer = torch.optim.Adam(policy.parameters(), 3e-4)
    collector, noise = Collector(Tabletop(**EASY), 20, rollout_seeds(0, 0, 1)), generator("rollout")
    for _ in range(NUM_ITERATIONS):
        with torch.no_grad():
            rollout = collector.collect(policy, algorithm.temperature, noise)
        rollout = relabel(rollout, Sparse(), terminal_values(rollout, None))
        success.append(rollout.final_success.float().mean().item())
        batch = algorithm.prepare(rollout)
        batch = replace(batch, advantage=sign * batch.advantage)
        for _ in range(3):
            for rows in torch.randperm(len(batch)).tensor_split(8):
                step(optimizer, algorithm.loss(policy, batch.select(rows))[0], policy)
    return sum(success[:5]) / 5, sum(success[-5:]) / 5


def test_ppo_improves_a_weak_start(weak_start):
    before, after = train(weak_start, sign=1.0)
    assert 0.05 < before < 0.5
    assert after > before + 0.12


def test_the_wrong_sign_unlearns(weak_start):
    before, after = train(weak_start, sign=-1.0)
    assert after < before - 0.05
