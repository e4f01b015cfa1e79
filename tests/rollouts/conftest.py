import numpy as np
import pytest
import torch
from torch import nn

from feat2go.core import Observation, PolicyOutput, Step

LIMIT = 6


class Track:
    """N sliders on a track: success is to be within [1, 2). Faithful to the contract of ``VectorEnv``.

    The start is -0.5 * (seed % 4); the expert needs as many actions of 0.5, plus two. An action moves by itself / 2, so
    a slider can shoot past the goal again. ``lost`` holds (seed, action) at which the simulation dies once.
    """

    env_id, action_dim, state_dim, cameras, image_size = "Track-v1", 2, 1, ("front", "top"), 8
    max_episode_steps, fps, milestones = LIMIT, 10.0, ("moved", "success")

    def __init__(self, num_envs, lost=(), hopeless=()):
        self.num_envs = num_envs
        self.terminate_on_success = False
        self.lost = set(lost)
        self.hopeless = set(hopeless)
        self.started = []

    def reset(self, seeds):
        assert len(seeds) == self.num_envs
        self.seeds, self.position, self.elapsed = list(seeds), [0.0] * len(seeds), [0] * len(seeds)
        self.idle = [False] * len(seeds)
        for row in range(self.num_envs):
            self._start(row, seeds[row])
        return self._observe(range(self.num_envs))

    def step(self, actions, next_seeds=None):
        actions = np.asarray(actions)
        num_rows, chunk, _ = actions.shape
        flags = {n: np.zeros((num_rows, chunk), bool) for n in ("terminated", "truncated", "success", "valid")}
        milestone = np.zeros((num_rows, chunk), np.int64)
        ended = []
        for row in range(num_rows):
            for c in range(chunk):
                if self.idle[row]:
                    break
                if (self.seeds[row], self.elapsed[row]) in self.lost:
                    self.lost.remove((self.seeds[row], self.elapsed[row]))
                    flags["valid"][row] = False
                    self._start(row, self.seeds[row])
                    break
                self.position[row] += float(actions[row, c, 0]) / 2
                self.elapsed[row] += 1
                success = 1 <= self.position[row] < 2
                flags["valid"][row, c], flags["success"][row, c] = True, success
                milestone[row, c] = 1 + success
                flags["terminated"][row, c] = success and self.terminate_on_success
                flags["truncated"][row, c] = self.elapsed[row] == LIMIT and not flags["terminated"][row, c]
                if flags["terminated"][row, c] or flags["truncated"][row, c]:
                    self.idle[row] = True
                    ended.append(row)
        final = self._observe(ended)
        if next_seeds is not None:
            assert len(next_seeds) == num_rows
            for row in ended:
                self._start(row, next_seeds[row])
        return Step(
            self._observe(range(num_rows)),
            *(torch.from_numpy(flags[n]) for n in ("terminated", "truncated", "success", "valid")),
            torch.from_numpy(milestone),
            torch.tensor(ended, dtype=torch.int64),
            final,
        )

    def expert_actions(self):
        speed = [0.0 if seed in self.hopeless else 1.0 for seed in self.seeds]
        return torch.tensor([[s, -s] for s in speed])

    def close(self):
        pass

    def _start(self, row, seed):
        self.started.append(seed)
        self.seeds[row], self.position[row], self.elapsed[row] = seed, -0.5 * (seed % 4), 0
        self.idle[row] = False

    def _observe(self, rows):
        rows = list(rows)
        grey = [int(100 + 20 * self.position[row]) for row in rows]
        image = torch.tensor(grey, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 8, 8, 3)
        state = torch.tensor([[self.position[row]] for row in rows], dtype=torch.float32).reshape(-1, 1)
        # The same memory in both cameras, as an environment with shared memory might have it.
        return Observation({"front": image, "top": image}, state, [f"slide {self.seeds[row]}" for row in rows])


class FullSpeed(nn.Module):
    """Always moves forward by ``speed``."""

    chunk, action_dim = 2, 2

    def __init__(self, speed=1.0):
        super().__init__()
        self.speed = nn.Parameter(torch.tensor(speed))
        self.calls = []

    def preprocess(self, images, instructions, state=None):
        assert set(images) == {"front", "top"}
        return {"state": state}

    def act(self, *, temperature=1.0, generator=None, **inputs):
        self.calls.append((self.training, torch.is_grad_enabled(), temperature, generator))
        rows = len(inputs["state"])
        actions = self.speed.expand(rows, self.chunk, self.action_dim)
        zeros = torch.zeros(rows, self.chunk * self.action_dim)
        return PolicyOutput(actions, zeros.long(), zeros, zeros[:, 0])


@pytest.fixture
def track():
    return Track


@pytest.fixture
def full_speed():
    return FullSpeed
