"""From rollouts to training rows. Legend: T steps, N environments, C chunk, A action dimensions, E episodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from feat2go.core.returns import gae
from feat2go.core.types import PolicyBatch, Rollout


def rollout_gae(rollout: Rollout, gamma: float, lam: float) -> Tensor:
    """Generalised advantages of a rollout, see ``core.returns.gae``, in the shape of the critic's values.

    With values (T, N, C) time is counted in actions: they are laid out one after the other, the reward is earned with
    the last action of the decision that was carried out, and an episode ends there. Actions behind it get numbers that
    mean nothing; they are not ``valid``.

    Args:
        rollout: of T decisions.
        gamma: discount per decision, or per action.
        lam: trace decay, likewise.

    Returns:
        (T, N) or (T, N, C).
    """
    ends = (rollout.terminated, rollout.truncated, rollout.bootstrap)
    if rollout.value.ndim == 2:
        return gae(rollout.reward, rollout.value, *ends, rollout.last_value, gamma, lam)
    num_steps, num_envs, chunk = rollout.value.shape
    last_valid = (rollout.valid.sum(-1) - 1).clamp(min=0)
    is_last = functional.one_hot(last_valid, chunk).bool()

    def in_time(per_action: Tensor) -> Tensor:
        return per_action.transpose(1, 2).reshape(num_steps * chunk, num_envs)

    def at_last(per_decision: Tensor) -> Tensor:
        return in_time(torch.where(is_last, per_decision[..., None], torch.zeros_like(per_decision)[..., None]))

    terminated, truncated, bootstrap = (at_last(end) for end in ends)
    advantage = gae(
        at_last(rollout.reward),
        in_time(rollout.value),
        terminated,
        truncated,
        bootstrap,
        rollout.last_value,
        gamma,
        lam,
    )
    return advantage.reshape(num_steps, chunk, num_envs).transpose(1, 2)


def counted_actions(rollout: Rollout) -> Tensor:
    """Bool (T, N, C): the actions that had a part in how their episode ended.

    Those that were carried out, in episodes that ended within the rollout; of an episode that ended in success, only
    those up to the first success. An environment that does not end at success goes on behind it, and whatever the
    policy does there changes nothing (SimpleVLA-RL's ``finish_step``). After a success that was lost again, everything
    counts.
    """
    episode = rollout.episode
    counted = rollout.valid & (episode >= 0)[..., None]
    if rollout.solved is None:
        return counted
    ended_in_success = torch.cat([rollout.final_success, torch.zeros(1, dtype=torch.bool)])[episode]
    return counted & ~(
        _after_success(rollout.solved, rollout.terminated | rollout.truncated) & ended_in_success[..., None]
    )


def _after_success(solved: Tensor, ended: Tensor) -> Tensor:
    """Bool (T, N, C): an earlier action of the same episode solved the task."""
    after = torch.zeros_like(solved)
    was_solved = torch.zeros_like(ended[0])
    for t in range(len(solved)):
        solved_so_far = was_solved[:, None] | (solved[t].cumsum(-1) > 0)
        after[t, :, 0] = was_solved
        after[t, :, 1:] = solved_so_far[:, :-1]
        was_solved = solved_so_far[:, -1] & ~ended[t]
    return after


def per_decision(episode_advantage: Tensor, rollout: Rollout, counted: Tensor, gamma: float) -> Tensor:
    r"""An episode's advantage at each of its decisions, :math:`\gamma^{T-t} \tilde A`; T is the last that counts.

    Args:
        episode_advantage: (E,).
        rollout: in which E episodes ended.
        counted: bool (T, N, C), see :func:`counted_actions`.
        gamma: discount per decision; 1 gives every decision the same.

    Returns:
        (T, N), 0 where nothing counts.
    """
    acted, episode = counted.any(-1), rollout.episode
    time = torch.arange(len(acted))[:, None].expand_as(acted)
    last = torch.zeros(len(episode_advantage), dtype=torch.int64)
    last = last.scatter_reduce(0, episode[acted], time[acted], "amax")
    advantage = torch.zeros(acted.shape, dtype=episode_advantage.dtype)
    mine = episode[acted]
    advantage[acted] = gamma ** (last[mine] - time[acted]).to(advantage.dtype) * episode_advantage[mine]
    return advantage


def training_rows(rollout: Rollout, counted: Tensor, advantage: Tensor, target_return: Tensor) -> PolicyBatch:
    """The decisions of which at least one action counts; all of them, with nothing to learn, if none does.

    Args:
        rollout: of T decisions.
        counted: bool (T, N, C): actions to learn from.
        advantage: (T, N) or (T, N, C).
        target_return: of the critic, in the same shape.
    """
    action_dim = rollout.tokens.shape[2] // rollout.valid.shape[2]
    batch = PolicyBatch(
        observation=rollout.observation,
        tokens=rollout.tokens.flatten(0, 1),
        mask=counted.repeat_interleave(action_dim, dim=2).flatten(0, 1),
        logprob=rollout.logprob.flatten(0, 1),
        value=rollout.value.flatten(0, 1),
        advantage=advantage.flatten(0, 1),
        target_return=target_return.flatten(0, 1),
    )
    rows = counted.any(-1).flatten()
    return batch if rows.all() or not rows.any() else batch.select(rows)


def require_groups(rollout: Rollout, algorithm: str) -> Tensor:
    """int64 (E,): the group of each episode that ended.

    Raises:
        ValueError: without groups, or if none has two episodes.
    """
    group = None if rollout.group is None else rollout.group[rollout.final_index[:, 0], rollout.final_index[:, 1]]
    if group is None or len(set(group.tolist())) == len(group) > 0:
        raise ValueError(
            f"{algorithm} compares episodes that began in the same state, and there are none: "
            "set data.num_episodes (whole episodes per rollout) and data.group_size (8, for example)"
        )
    return group
