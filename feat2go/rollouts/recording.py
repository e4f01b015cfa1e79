"""Episodes of an environment's scripted expert, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from feat2go.core.protocols import VectorEnv
from feat2go.core.types import Episode, Observation


def expert_episodes(env: VectorEnv, seeds: Iterator[int]) -> Iterator[Episode]:
    """Finished episodes of the expert, endlessly, one action per step.

    They come in the order of their seeds, whatever the number of environments: one that ends early waits for those
    before it. First come, first served would prefer short episodes.

    Args:
        env: N environments.
        seeds: endless, no two alike.

    Raises:
        NotImplementedError: if the environment has no expert.
    """
    rows = range(env.num_envs)
    running = [next(seeds) for _ in rows]
    upcoming = [next(seeds) for _ in rows]
    not_yielded = deque(running + upcoming)
    finished: dict[int, Episode] = {}
    observation = env.reset(running)
    recordings = [_Recording(running[row], observation, row) for row in rows]
    while True:
        actions = env.expert_actions()
        step = env.step(actions[:, None], upcoming)
        final_rows = {row: k for k, row in enumerate(step.final_index.tolist())}
        for row in rows:
            recording, milestone = recordings[row], int(step.milestone[row, 0])
            if not step.valid[row, 0]:
                # The simulation was lost, and the same episode starts again.
                recordings[row] = _Recording(recording.seed, step.observation, row)
            elif row not in final_rows:
                recording.add(actions[row], milestone, step.observation, row)
            else:
                recording.add(actions[row], milestone, step.final_observation, final_rows[row])
                finished[recording.seed] = recording.episode(env, bool(step.success[row, 0]))
                recordings[row] = _Recording(upcoming[row], step.observation, row)
                upcoming[row] = next(seeds)
                not_yielded.append(upcoming[row])
        while not_yielded[0] in finished:
            yield finished.pop(not_yielded.popleft())


class _Recording:
    """An episode so far. It copies what it is given: environments may use their memory again.

    Args:
        seed: the episode's.
        observation: of all environments; its ``row`` is the first frame.
        row: which one.
    """

    def __init__(self, seed: int, observation: Observation, row: int) -> None:
        self.seed = seed
        self._instruction = observation.instruction[row]
        self._frames: dict[str, list[np.ndarray]] = {camera: [] for camera in observation.images}
        self._states: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._milestones = [0]
        self._see(observation, row)

    def add(self, action: Tensor, milestone: int, observation: Observation, row: int) -> None:
        """An action (A,) that was carried out, and what it led to."""
        self._actions.append(np.array(action, np.float32))
        self._milestones.append(milestone)
        self._see(observation, row)

    def episode(self, env: VectorEnv, success: bool) -> Episode:
        """The whole, once it has ended."""
        return Episode(
            frames={camera: np.stack(images) for camera, images in self._frames.items()},
            instruction=self._instruction,
            actions=np.stack(self._actions),
            state=np.stack(self._states) if self._states else None,
            success=success,
            milestones=np.array(self._milestones, np.int64),
            uid=f"{env.env_id}-{self.seed}",
            env_id=env.env_id,
            seed=self.seed,
            fps=float(env.fps),
        )

    def _see(self, observation: Observation, row: int) -> None:
        for camera, images in observation.images.items():
            self._frames[camera].append(np.array(images[row]))
        if observation.state is not None:
            self._states.append(np.array(observation.state[row], np.float32))
