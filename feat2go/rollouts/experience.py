"""From what a policy did and what its environments answered to a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from feat2go.core.protocols import Policy
from feat2go.core.types import Observation, PolicyOutput, Rollout, Step


class NotFiniteObservationError(ValueError):
    """Environments showed a state that holds NaN or infinity.

    Attributes:
        observation: what they showed.
    """

    def __init__(self, observation: Observation) -> None:
        assert observation.state is not None
        rows = (~observation.state.isfinite().all(-1)).nonzero()[:, 0].tolist()
        super().__init__(f"the state of an observation holds NaN or infinity, in its rows {', '.join(map(str, rows))}")
        self.observation = observation


def act(
    policy: Policy,
    observation: Observation,
    temperature: float,
    generator: torch.Generator | None,
    device: torch.device | str,
) -> PolicyOutput:
    """The policy's output for an observation, computed on ``device`` and given on the CPU.

    Raises:
        NotFiniteObservationError: for a state of which a policy could make nothing.
    """
    if observation.state is not None and not observation.state.isfinite().all():
        raise NotFiniteObservationError(observation)
    seen = observation.to(device)
    inputs: Mapping[str, Tensor] = policy.preprocess(seen.images, seen.instruction, seen.state)
    output = policy.act(temperature=temperature, generator=generator, **inputs)
    return PolicyOutput(output.actions.cpu(), output.tokens.cpu(), output.logprob.cpu(), output.value.cpu())


def stack(
    observations: Sequence[Observation],
    outputs: Sequence[PolicyOutput],
    steps: Sequence[Step],
    group: Tensor | None = None,
) -> Rollout:
    """A rollout of T decisions with rewards and bootstrap values of zero.

    Args:
        observations: T times what N environments showed.
        outputs: what the policy did then.
        steps: what came of it.
        group: int64 (T, N), or None.
    """
    valid = torch.stack([step.valid for step in steps])
    terminated = torch.stack([step.terminated.any(-1) for step in steps])
    truncated = torch.stack([step.truncated.any(-1) for step in steps])
    ended_in_success = torch.stack([(step.success & (step.terminated | step.truncated)).any(-1) for step in steps])
    final_index = [torch.stack([torch.full_like(s.final_index, t), s.final_index], 1) for t, s in enumerate(steps)]
    value = torch.stack([output.value for output in outputs])
    per_decision = torch.zeros(valid.shape[:2])
    return Rollout(
        observation=Observation.concat(observations),
        tokens=torch.stack([output.tokens for output in outputs]),
        logprob=torch.stack([output.logprob for output in outputs]),
        value=value,
        reward=per_decision,
        terminated=terminated,
        # A decision of which nothing was carried out belongs to no episode: nothing may flow over it.
        truncated=truncated | ~valid.any(-1),
        success=ended_in_success,
        valid=valid,
        bootstrap=per_decision,
        last_value=per_decision[0],
        final_index=torch.cat(final_index),
        final_observation=Observation.concat([step.final_observation for step in steps]),
        last_observation=steps[-1].observation,
        group=group,
        solved=torch.stack([step.success for step in steps]),
        env_reward=_summed(steps),
    )


def with_critic(rollout: Rollout, policy: Policy, device: torch.device | str) -> Rollout:
    """Fill in the critic's value of what follows: the last decision, and every time limit.

    Of a critic that judges each action, the first action's value is that of the observation.
    """
    assert rollout.last_observation is not None
    t, n = rollout.final_index.T
    # Nothing follows the end of a task, so nothing has to be judged there.
    goes_on = rollout.truncated[t, n]
    num_ends = int(goes_on.sum())
    both = Observation.concat([rollout.final_observation.select(goes_on), rollout.last_observation])
    value, own = _of_observation(act(policy, both, 0.0, None, device).value, 1), _of_observation(rollout.value, 2)
    bootstrap = torch.zeros_like(own)
    bootstrap[t[goes_on], n[goes_on]] = value[:num_ends]
    is_lost = ~rollout.valid.any(-1)
    bootstrap[is_lost] = own[is_lost]
    return replace(rollout, bootstrap=bootstrap, last_value=value[num_ends:])


def _of_observation(value: Tensor, num_axes: int) -> Tensor:
    return value if value.ndim == num_axes else value[..., 0]


def _summed(steps: Sequence[Step]) -> Tensor | None:
    rewards = [step.reward for step in steps if step.reward is not None]
    return torch.stack(rewards).sum(-1) if rewards else None
