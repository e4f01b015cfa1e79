import pytest
import torch

from feat2go.core import Observation, PolicyEvaluation, Rollout


def observation(num_rows):
    return Observation({"base": torch.zeros(num_rows, 1, 1, 3, dtype=torch.uint8)}, None, ["x"] * num_rows)


class Table(torch.nn.Module):
    """A policy whose logits, the same in every state, are its parameters; C actions of A tokens out of four."""

    def __init__(self, chunk=2, action_dim=1, judges_actions=False, dtype=torch.float32):
        super().__init__()
        self.chunk, self.action_dim = chunk, action_dim
        self.logits = torch.nn.Parameter(torch.zeros(chunk * action_dim, 4, dtype=dtype))
        self.critic = torch.nn.Parameter(torch.full((chunk,) if judges_actions else (), 0.25, dtype=dtype))

    def preprocess(self, images, instructions, state=None):
        return {}

    def evaluate(self, tokens, *, temperature=1.0, **inputs):
        logprobs = (self.logits / temperature).log_softmax(-1).expand(len(tokens), *self.logits.shape)
        logprob = logprobs.gather(-1, tokens[..., None])[..., 0]
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        return PolicyEvaluation(logprob, entropy, self.critic.expand(len(tokens), *self.critic.shape))


@pytest.fixture
def table():
    return Table


@pytest.fixture
def make_rollout():
    """A function that makes a float64 rollout of T decisions of C actions in N environments.

    ``ends`` says (t, n, last action, success) of each episode that ended, in the order of t; one that did not succeed
    was cut off by the time limit.
    """

    def make(num_steps, num_envs, chunk=1, action_dim=1, ends=(), seed=None, value=None, **fields):
        generator = torch.Generator().manual_seed(seed or 0)
        shape = (num_steps, num_envs)
        terminated, truncated = torch.zeros(2, *shape, dtype=torch.bool)
        valid = torch.ones(*shape, chunk, dtype=torch.bool)
        for t, n, last, success in ends:
            (terminated if success else truncated)[t, n] = True
            valid[t, n, last + 1 :] = False
        zeros = torch.zeros(shape, dtype=torch.float64)
        tokens = torch.randint(0, 4, (*shape, chunk * action_dim), generator=generator)
        return Rollout(
            **{
                "observation": observation(num_steps * num_envs),
                "tokens": tokens,
                "logprob": torch.full(tokens.shape, 0.25, dtype=torch.float64).log(),
                "value": zeros if value is None else torch.as_tensor(value, dtype=torch.float64),
                "reward": zeros,
                "terminated": terminated,
                "truncated": truncated,
                "success": terminated,
                "valid": valid,
                "bootstrap": zeros,
                "last_value": zeros[0],
                "final_index": torch.tensor([end[:2] for end in ends], dtype=torch.int64).reshape(-1, 2),
                "final_observation": observation(len(ends)),
                **fields,
            }
        )

    return make
