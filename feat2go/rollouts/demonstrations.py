"""Demonstrations of an environment's scripted expert, to disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feat2go.core.protocols import VectorEnv
from feat2go.core.seeding import FIRST_ROLLOUT_INDEX, SPLIT_SIZE, episode_seed, require_split
from feat2go.data.folder import FolderDataset
from feat2go.data.info import DatasetInfo
from feat2go.data.writer import EpisodeWriter
from feat2go.rollouts.progress_bar import progress_bar
from feat2go.rollouts.recording import expert_episodes

# How many episodes of each split are for demonstrations.
NUM_EPISODES = {"train": FIRST_ROLLOUT_INDEX, "development": SPLIT_SIZE}
# An expert that has failed so often without a single success is broken, not unlucky.
MAX_FAILURES = 100


def collect(
    env: VectorEnv,
    output: Path,
    num_episodes: int,
    split: str = "train",
    first_index: int = 0,
    keep_failures: bool = False,
    progress: bool = True,
) -> FolderDataset:
    """Record the expert until a folder holds ``num_episodes`` successful episodes.

    They are the split's first successful ones from ``first_index`` on, whatever the number of environments. Each is
    written as a whole or not at all; after an interruption, the same call goes on behind the last one written.

    Args:
        env: its expert acts, one action at a time; an episode ends with its first success.
        output: the folder; it may hold episodes of this environment and split already.
        num_episodes: successful episodes to have in the end.
        split: ``train`` or ``development``.
        first_index: first episode of the split.
        keep_failures: keep the failed episodes in between as well, marked as such; they don't count.
        progress: show it on stderr.

    Raises:
        ValueError: for another split, for seeds that are reserved for rollouts, or if the folder holds something else.
        NotImplementedError: if the environment has no expert.
        RuntimeError: if the expert never succeeds.
    """
    _require_demonstration_seeds(split, first_index, num_episodes)
    writer = EpisodeWriter(output, DatasetInfo.of_env(env))
    require_split((record.seed for record in writer.records.values()), [split], f"the {split} demonstrations {output}")
    first_seed = episode_seed(split, first_index)
    present = [record for record in writer.records.values() if record.seed >= first_seed]
    num_successes = sum(record.success for record in present)
    next_seed = max((record.seed + 1 for record in present), default=first_seed)
    num_failures = 0
    with _ending_at_success(env), progress_bar(f"collecting {env.env_id}", num_episodes, progress) as update:
        update(num_successes, "")
        attempts = expert_episodes(env, itertools.count(next_seed))
        while num_successes < num_episodes:
            episode = next(attempts)
            num_successes += episode.success
            num_failures += not episode.success
            if episode.success or keep_failures:
                writer.write(episode)
            if num_successes == 0 and num_failures >= MAX_FAILURES:
                raise RuntimeError(f"the expert of {env.env_id} failed in all of its first {num_failures} episodes")
            update(num_successes, f"({num_failures} failed)")
    return FolderDataset(output)


def _require_demonstration_seeds(split: str, first_index: int, num_episodes: int) -> None:
    if split not in NUM_EPISODES:
        raise ValueError(f"demonstrations may not use the split '{split}', only: {', '.join(NUM_EPISODES)}")
    if num_episodes < 1 or first_index < 0:
        raise ValueError(f"num_episodes is at least 1 and first_index at least 0; got {num_episodes} and {first_index}")
    if first_index + num_episodes > NUM_EPISODES[split]:
        raise ValueError(
            f"demonstrations of the {split} split are its episodes below {NUM_EPISODES[split]}; "
            f"{num_episodes} from {first_index} on are not"
        )


@contextmanager
def _ending_at_success(env: VectorEnv) -> Iterator[None]:
    before = env.terminate_on_success
    env.terminate_on_success = True
    try:
        yield
    finally:
        env.terminate_on_success = before
