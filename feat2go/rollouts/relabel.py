"""The reward of a rollout: what each finished episode is worth, paid in its last decision."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from feat2go.core.protocols import RewardShaper, ValuePredictor
from feat2go.core.types import Rollout


def terminal_values(rollout: Rollout, predictor: ValuePredictor | None) -> Tensor:
    """float32 (E,): the value model's prediction for every finished episode's last frame, in one batch.

    NaN without a value model. It looks through the first camera.
    """
    final = rollout.final_observation
    if predictor is None or len(final) == 0:
        return torch.full((len(final),), torch.nan)
    image = next(iter(final.images.values()))
    return predictor.predict(image, final.instruction).float().cpu()


def relabel(rollout: Rollout, shaper: RewardShaper, terminal_value: Tensor) -> Rollout:
    """The rollout with its rewards.

    Args:
        rollout: E episodes ended in it.
        shaper: gives each its reward.
        terminal_value: (E,), see :func:`terminal_values`.
    """
    reward = torch.zeros_like(rollout.reward)
    t, n = rollout.final_index.T
    reward[t, n] = shaper(rollout.final_success, terminal_value)
    bootstrap = torch.zeros_like(rollout.bootstrap) if shaper.replaces_bootstrap else rollout.bootstrap
    return replace(rollout, reward=reward, bootstrap=bootstrap)


def outcome_metrics(rollout: Rollout, terminal_value: Tensor) -> dict[str, float]:
    """What to log of a rollout; a mean over nothing is NaN."""
    success = rollout.final_success
    t, n = rollout.final_index.T
    reward = rollout.reward[t, n]
    return {
        "success": _mean(success.float()),
        "return": _mean(reward),
        "reward_from_success": _mean(success.float()),
        "reward_from_value": _mean(reward - success.float()),
        "terminal_value_success": _mean(terminal_value[success]),
        "terminal_value_failure": _mean(terminal_value[~success]),
        "num_episodes": float(len(success)),
        "critic_value": _mean(rollout.value),
    }


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else float("nan")
