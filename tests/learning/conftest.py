"""A weak policy on an easy tabletop, and a training loop without Lightning."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch

from feat2go.algorithms import BC
from feat2go.core.seeding import episode_seed, generator
from feat2go.core.types import PolicyBatch
from feat2go.data.windows import DemonstrationRows
from feat2go.envs.tabletop import Tabletop
from feat2go.policies import TinyVLA
from feat2go.rollouts.recording import expert_episodes
from feat2go.rollouts.relabel import relabel

EASY = {
    "num_envs": 64,
    "image_size": 32,
    "max_episode_steps": 30,
    "objects": ["cube"],
    "receptacles": ["plate"],
    "colours": ["red", "blue"],
    "num_distractors": 0,
    "num_receptacles": 1,
    "workspace": 0.04,
}


@pytest.fixture
def easy_tabletop():
    return Tabletop(**EASY)


@pytest.fixture(scope="session")
def weak_start():
    """Behaviour cloning of 300 demonstrations, too short to be good."""
    torch.manual_seed(0)
    attempts = expert_episodes(Tabletop(expert_noise=0.03, **EASY), itertools.count())
    rows = DemonstrationRows(list(itertools.islice(attempts, 300)), chunk=1)
    data = DemonstrationRows.collate([rows[i] for i in range(len(rows))])
    policy = TinyVLA(state_dim=6, image_size=32, width=128)
    tokens, mask = policy.encode(data.actions), data.mask.repeat_interleave(7, dim=1)
    algorithm, optimizer = BC(token_noise=4.0), torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(500):
        rows = torch.randint(len(tokens), (64,))
        zeros = torch.zeros(64)
        batch = PolicyBatch(data.observation.select(rows), tokens[rows], mask[rows], zeros, zeros, zeros, zeros)
        step(optimizer, algorithm.loss(policy, batch)[0], policy)
    return policy


@pytest.fixture
def start(weak_start):
    """A copy of the weak policy, to train."""
    return copy.deepcopy(weak_start)


@pytest.fixture
def train():
    """A function that trains a policy and gives the success rate of each of its rollouts.

    With ``sign`` -1, what was good counts as bad. ``reward`` gives the terminal reward of a rollout's episodes.
    """

    def run(policy, algorithm, collector, num_iterations, sign=1.0, reward=lambda rollout: rollout.final_success):
        torch.manual_seed(0)
        success = []
        optimizer, noise = torch.optim.Adam(policy.parameters(), 3e-4), generator("rollout")
        for _ in range(num_iterations):
            with torch.no_grad():
                rollout = collector.collect(policy, algorithm.temperature, noise)
            rollout = relabel(rollout, ValueOnly(), reward(rollout).float())
            success.append(rollout.final_success.float().mean().item())
            batch = algorithm.prepare(rollout)
            batch = replace(batch, advantage=sign * batch.advantage)
            for _ in range(3):
                for rows in torch.randperm(len(batch)).tensor_split(8):
                    step(optimizer, algorithm.loss(policy, batch.select(rows))[0], policy)
        return success

    return run


@pytest.fixture
def success_rate():
    """A function that gives a policy's success rate in 128 episodes that it was not trained on."""

    def run(policy, temperature):
        env = Tabletop(**{**EASY, "num_envs": 128})
        observation = env.reset([episode_seed("evaluation", i) for i in range(env.num_envs)])
        noise, has_succeeded = generator("evaluation"), torch.zeros(env.num_envs, dtype=torch.bool)
        for _ in range(env.max_episode_steps):
            with torch.no_grad():
                inputs = policy.preprocess(observation.images, observation.instruction, observation.state)
                actions = policy.act(temperature=temperature, generator=noise, **inputs).actions
            step = env.step(actions)
            observation, has_succeeded = step.observation, has_succeeded | step.success.any(-1)
        return has_succeeded.float().mean().item()

    return run


class ValueOnly:
    """The terminal value is all the reward, whether the episode succeeded or not."""

    needs_value = True
    replaces_bootstrap = True

    def __call__(self, success, terminal_value):
        return terminal_value


def step(optimizer, loss, policy):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
