"""A policy on episodes that it was not trained on, each exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from feat2go.core.protocols import Policy, ValuePredictor, VectorEnv
from feat2go.core.seeding import require_split
from feat2go.core.types import EvaluationRow, Observation, Step
from feat2go.rollouts.acting import acting
from feat2go.rollouts.progress_bar import progress_bar
from feat2go.rollouts.tables import SuccessRate, Summary, read_metadata, read_table, summarise, write_table
from feat2go.rollouts.videos import VideoFolder

__all__ = ["SuccessRate", "Summary", "evaluate", "read_metadata", "read_table", "summarise", "write_table"]


def evaluate(
    env: VectorEnv,
    policy: Policy,
    seeds: Sequence[int],
    temperature: float = 0.0,
    predictor: ValuePredictor | None = None,
    video_folder: Path | None = None,
    num_videos: int = 4,
    suite: str = "",
    setting: str = "",
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> list[EvaluationRow]:
    """Run one episode per seed, to the time limit even after a success, so that a lost success is seen.

    With a greedy policy, the rows do not depend on the number of environments.

    Args:
        env: whatever its environments are doing is given up.
        policy: acts in eval mode and without gradients, on the device of its parameters.
        seeds: of the development or the evaluation split, no two alike.
        temperature: of the policy; 0 is greedy.
        predictor: predicts the terminal values, through the first camera, in one call.
        video_folder: gets mp4 videos of the first camera, one frame per decision. Rows name them relative to the folder
            that holds it, where the table belongs.
        num_videos: at most; half of them successes at the end, half failures.
        suite: what the rows say they belong to.
        setting: likewise, within the suite.
        generator: for sampling at a temperature above 0.
        progress: show it on stderr.

    Returns:
        One row per seed, in the order of ``seeds``.

    Raises:
        ValueError: for a seed that is given twice or belongs to training.
    """
    require_split(seeds, ("development", "evaluation"), "an evaluation")
    num_repeated = len(seeds) - len(set(seeds))
    if num_repeated:
        raise ValueError(f"{num_repeated} of {len(seeds)} evaluation seeds are repeated; each counts once")
    videos = None if video_folder is None else VideoFolder(video_folder, num_videos, env.fps / policy.chunk)
    episodes: list[_Episode] = []
    title = f"evaluating {env.env_id}"
    with progress_bar(title, len(seeds), progress) as update, _to_the_limit(env), acting(policy):
        for start in range(0, len(seeds), env.num_envs):
            wave_seeds = seeds[start : start + env.num_envs]
            episodes += _run_wave(env, policy, wave_seeds, temperature, generator, videos)
            update(len(episodes), f"({sum(episode.success_once for episode in episodes)} successful)")
    return [
        EvaluationRow(
            task=env.env_id,
            suite=suite,
            setting=setting,
            seed=episode.seed,
            success_once=episode.success_once,
            success_at_end=episode.success_at_end,
            length=episode.length,
            milestone=episode.milestone,
            terminal_value=terminal_value,
            video=episode.video,
            instruction=episode.instruction,
        )
        for episode, terminal_value in zip(episodes, _terminal_values(episodes, predictor), strict=True)
    ]


@dataclass
class _Episode:
    """An episode so far.

    Attributes:
        image: uint8 (H, W, 3), the latest.
        frames: all of them, if they are kept for a video.
    """

    seed: int
    instruction: str
    image: Tensor
    frames: list[Tensor] = field(default_factory=list)
    success_once: bool = False
    success_at_end: bool = False
    length: int = 0
    milestone: int = 0
    video: str = ""
    has_ended: bool = False

    def add(self, step: Step, row: int, image: Tensor) -> None:
        """Take in what ``step`` says of environment ``row``, and what it shows then."""
        num_valid = int(step.valid[row].sum())
        success = step.success[row, :num_valid]
        self.success_once |= bool(success.any())
        self.success_at_end = bool(success[-1])
        self.length += num_valid
        self.milestone = max(self.milestone, int(step.milestone[row, :num_valid].max()))
        self.image = image.clone()


def _run_wave(
    env: VectorEnv,
    policy: Policy,
    seeds: Sequence[int],
    temperature: float,
    generator: torch.Generator | None,
    videos: VideoFolder | None,
) -> list[_Episode]:
    """At most N episodes side by side. An environment without a seed of its own repeats the last one, unheeded."""
    keep_frames = videos is not None and videos.has_room
    observation = env.reset([*seeds, *[seeds[-1]] * (env.num_envs - len(seeds))])
    wave = [_begin(seed, observation, row, keep_frames) for row, seed in enumerate(seeds)]
    while not all(episode.has_ended for episode in wave):
        step = env.step(_act(policy, observation, temperature, generator))
        observation = step.observation
        final_rows = {row: k for k, row in enumerate(step.final_index.tolist())}
        for row, episode in enumerate(wave):
            if episode.has_ended:
                continue
            if not step.valid[row].any():
                # The simulation was lost, and the same episode starts again.
                wave[row] = _begin(episode.seed, observation, row, keep_frames)
                continue
            episode.has_ended = row in final_rows
            seen = _first_camera(step.final_observation if episode.has_ended else observation)
            episode.add(step, row, seen[final_rows.get(row, row)])
            if keep_frames:
                episode.frames.append(episode.image)
    for episode in wave:
        if videos is not None:
            episode.video = videos.add(episode.seed, episode.success_at_end, episode.frames)
        episode.frames.clear()
    return wave


def _begin(seed: int, observation: Observation, row: int, keep_frames: bool) -> _Episode:
    image = _first_camera(observation)[row].clone()
    return _Episode(seed, observation.instruction[row], image, [image] if keep_frames else [])


def _first_camera(observation: Observation) -> Tensor:
    return next(iter(observation.images.values()))


def _act(policy: Policy, observation: Observation, temperature: float, generator: torch.Generator | None) -> Tensor:
    parameter = next(policy.parameters(), None) if isinstance(policy, nn.Module) else None
    seen = observation if parameter is None else observation.to(parameter.device)
    inputs = policy.preprocess(seen.images, seen.instruction, seen.state)
    return policy.act(temperature=temperature, generator=generator, **inputs).actions.cpu()


def _terminal_values(episodes: Sequence[_Episode], predictor: ValuePredictor | None) -> list[float]:
    if predictor is None or not episodes:
        return [float("nan")] * len(episodes)
    images = torch.stack([episode.image for episode in episodes])
    values: list[float] = predictor.predict(images, [episode.instruction for episode in episodes]).tolist()
    return values


@contextmanager
def _to_the_limit(env: VectorEnv) -> Iterator[None]:
    before = env.terminate_on_success
    env.terminate_on_success = False
    try:
        yield
    finally:
        env.terminate_on_success = before
