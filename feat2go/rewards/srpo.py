"""The reward of SRPO: how close a failure came to the successes of the same batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from feat2go.core.protocols import Encoder
from feat2go.core.slots import Encoder as EncoderSlot
from feat2go.core.types import Rollout

SHARPNESS, MIDDLE = 10.0, 0.5


class SRPO:
    r"""Success is worth 1; a failure, the more the closer its video is to those of successes.

    .. math:: R = 0.6 \, \sigma\big(10 (0.5 - \bar d)\big)

    SRPO (arXiv 2511.15605), as its reference code does it. An episode is embedded as a whole: ``num_frames`` frames,
    evenly spaced, mean over all tokens. For each instruction, the embeddings of the successes are standardised and
    clustered by DBSCAN (two make a cluster); d is the Euclidean distance of a failure, not standardised, to the closest
    centre, or to the mean of the successes where they make no cluster; :math:`\bar d` is d stretched to [0, 1] over the
    failures of the instruction, 0.5 where all are equal. Without a success or a failure there is nothing to compare.

    It needs no value model, but successes in the very batch, and an encoder that sees ``num_frames`` frames of every
    episode that ends. An episode's frames are those of its decisions, and its true last one; of an episode that began
    in an earlier rollout only the rest is seen, so collect whole episodes (``data.num_episodes``).

    Args:
        encoder: makes the encoder; the paper's is V-JEPA 2. Called with the first rollout.
        num_frames: of an embedding; a shorter episode's frames are repeated from its beginning.
        eps: DBSCAN's radius, in standard deviations.
        max_failure_reward: the 0.6.
    """

    needs_value = False
    # Like a terminal value, it stands for what a failure achieved.
    replaces_bootstrap = True

    def __init__(
        self,
        encoder: Callable[[], EncoderSlot],
        num_frames: int = 64,
        eps: float = 0.5,
        max_failure_reward: float = 0.6,
    ) -> None:
        if num_frames < 1 or eps <= 0 or not 0 < max_failure_reward <= 1:
            raise ValueError(
                "num_frames is at least 1, eps above 0, max_failure_reward in (0, 1]; "
                f"got {num_frames}, {eps}, {max_failure_reward}"
            )
        self.num_frames = num_frames
        self.eps = eps
        self.max_failure_reward = max_failure_reward
        self._make_encoder = encoder
        self._encoder: Encoder | None = None

    def __call__(self, success: Tensor, terminal_value: Tensor) -> Tensor:
        """1 for success, else 0."""
        return success.float()

    def dense(self, rollout: Rollout, value: Tensor, next_value: Tensor) -> Tensor:
        """What the failures are worth, in their last decisions, (T, N)."""
        success, task = rollout.final_success, rollout.final_observation.instruction
        outcomes = list(zip(task, success.tolist(), strict=True))
        mixed = {name for name, ok in outcomes if ok} & {name for name, ok in outcomes if not ok}
        episode = rollout.episode.flatten()
        reward = torch.zeros(rollout.reward.shape)
        for name in sorted(mixed):
            same_task = torch.tensor([e for e, other in enumerate(task) if other == name])
            embedding = torch.stack([self._embed(rollout, episode == e, e) for e in same_task.tolist()])
            failed = ~success[same_task]
            t, n = rollout.final_index[same_task[failed]].T
            reward[t, n] = self.failure_rewards(embedding[~failed], embedding[failed])
        return reward

    def failure_rewards(self, successes: Tensor, failures: Tensor) -> Tensor:
        """Embeddings (S, D) and (F, D), at least one of each -> float32 (F,)."""
        distance = torch.cdist(failures.double(), cluster_centres(successes.double(), self.eps)).amin(1)
        span = distance.max() - distance.min()
        stretched = (distance - distance.min()) / span if span > 0 else torch.full_like(distance, MIDDLE)
        return (self.max_failure_reward * torch.sigmoid(SHARPNESS * (MIDDLE - stretched))).float()

    def _embed(self, rollout: Rollout, belongs: Tensor, episode: int) -> Tensor:
        """float32 (D,): the mean over the tokens of an episode's frames, ``belongs`` (T*N,) says which."""
        images = next(iter(rollout.observation.images.values()))[belongs]
        last = next(iter(rollout.final_observation.images.values()))[episode]
        frames = torch.cat([images, last[None]])[evenly_spaced(len(images) + 1, self.num_frames)]
        if self._encoder is None:
            self._encoder = self._make_encoder()
        with torch.no_grad():
            return self._encoder.encode_episode(frames).features.float().cpu().mean((0, 1))


def evenly_spaced(num_frames: int, num_wanted: int) -> Tensor:
    """int64 (num_wanted,): places in a video, from the first to the last; a shorter video over and over again."""
    if num_frames < num_wanted:
        return torch.arange(num_wanted) % num_frames
    return torch.linspace(0, num_frames - 1, num_wanted, dtype=torch.float64).long()


def cluster_centres(points: Tensor, eps: float) -> Tensor:
    """Means of the clusters that DBSCAN finds among standardised points, where two points make a cluster.

    With two to a cluster, every point that has a neighbour is a core point: the clusters are the connected components
    of the neighbourhood, and what is alone is noise.

    Args:
        points: (S, D).
        eps: radius, in standard deviations.

    Returns:
        (K, D) in the points' own scale; the mean of all where there is no cluster.
    """
    from scipy.sparse.csgraph import connected_components

    std = points.std(0, correction=0)
    scaled = (points - points.mean(0)) / torch.where(std > 0, std, 1.0)
    # By differences: the usual way through products loses what is close.
    distance = torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist")
    _, label = connected_components((distance <= eps).numpy(), directed=False)
    clusters = [points[torch.from_numpy(label == k)] for k in range(label.max() + 1)]
    centres = [cluster.mean(0) for cluster in clusters if len(cluster) > 1]
    return torch.stack(centres) if centres else points.mean(0, keepdim=True)
