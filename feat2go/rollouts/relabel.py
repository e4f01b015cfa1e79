"""The reward of a rollout: what each finished episode is worth, paid in its last decision, and what the way is."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from feat2go.core.distributed import global_sum
from feat2go.core.protocols import DenseRewardShaper, RewardShaper, ValuePredictor
from feat2go.core.returns import episode_returns
from feat2go.core.types import Observation, Rollout


def terminal_values(rollout: Rollout, predictor: ValuePredictor | None) -> Tensor:
    """float32 (E,): the value model's prediction for every finished episode's last frame, in one batch.

    NaN without a value model. It looks through the first camera.
    """
    return _predict(predictor, rollout.final_observation)


def path_values(rollout: Rollout, predictor: ValuePredictor | None, terminal_value: Tensor) -> tuple[Tensor, Tensor]:
    """The value model's predictions all along a rollout, in one batch: what :class:`DenseRewardShaper` takes.

    It costs one prediction per decision, about T times as many as the terminal values.

    Args:
        rollout: T decisions in N environments, with what followed the last one.
        predictor: None gives NaN.
        terminal_value: (E,), of the episodes that ended.

    Returns:
        float32 (T, N) for what each decision saw, and (T, N) for what it led to.
    """
    acted = rollout.valid.any(-1)
    if predictor is None:
        nothing = torch.full(acted.shape, torch.nan)
        return nothing, nothing
    assert rollout.last_observation is not None
    seen = rollout.observation.select(acted.flatten())
    predicted = _predict(predictor, Observation.concat([seen, rollout.last_observation]))
    value = torch.zeros(acted.shape)
    value[acted] = predicted[: len(seen)]
    next_value = torch.cat([value[1:], predicted[None, len(seen) :]])
    t, n = rollout.final_index.T
    next_value[t, n] = terminal_value
    # Before a simulation that was lost, too: what the next decision sees is the beginning again.
    leads_nowhere = ~acted | (rollout.episode < 0) & torch.cat([~acted[1:], torch.zeros_like(acted[:1])])
    return value, torch.where(leads_nowhere, value, next_value)


def relabel(
    rollout: Rollout, shaper: RewardShaper, terminal_value: Tensor, predictor: ValuePredictor | None = None
) -> Rollout:
    """The rollout with its rewards.

    Args:
        rollout: E episodes ended in it.
        shaper: gives each its reward.
        terminal_value: (E,), see :func:`terminal_values`.
        predictor: for a dense shaper that needs values of more than the terminal frames.
    """
    reward = torch.zeros_like(rollout.reward)
    if isinstance(shaper, DenseRewardShaper):
        values = path_values(rollout, predictor if shaper.needs_value else None, terminal_value)
        reward = shaper.dense(rollout, *values).masked_fill(~rollout.valid.any(-1), 0.0)
    t, n = rollout.final_index.T
    reward[t, n] += shaper(rollout.final_success, terminal_value)
    bootstrap = torch.zeros_like(rollout.bootstrap) if shaper.replaces_bootstrap else rollout.bootstrap
    return replace(rollout, reward=reward, bootstrap=bootstrap)


def outcome_metrics(rollout: Rollout, terminal_value: Tensor) -> dict[str, float]:
    """What to log of the rollouts of all processes, each of which must call; a mean over nothing is NaN."""
    success = rollout.final_success
    returns = episode_returns(rollout.reward, rollout.episode, len(success))
    return {
        "success": _mean(success.float()),
        "return": _mean(returns),
        "reward_from_success": _mean(success.float()),
        "reward_from_value": _mean(returns - success.float()),
        "terminal_value_success": _mean(terminal_value[success]),
        "terminal_value_failure": _mean(terminal_value[~success]),
        "num_episodes": float(global_sum(torch.tensor(len(success)))),
        "critic_value": _mean(rollout.value),
    }


def _predict(predictor: ValuePredictor | None, observation: Observation) -> Tensor:
    """float32, one per row; NaN without a value model. It looks through the first camera."""
    if predictor is None or len(observation) == 0:
        return torch.full((len(observation),), torch.nan)
    image = next(iter(observation.images.values()))
    return predictor.predict(image, observation.instruction).float().cpu()


def _mean(values: Tensor) -> float:
    total, count = global_sum(torch.tensor([values.double().sum(), values.numel()], dtype=torch.float64)).tolist()
    return total / count if count else float("nan")
