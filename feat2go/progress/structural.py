"""The structural progress target: which stage, and how far inside it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from feat2go.core.similarity import patch_similarity, require_track
from feat2go.core.types import ProgressTrack, Stages

# Similarities of equal frames differ by float32 rounding; a spread within it is no trend to stretch over a stage.
MIN_SPREAD = 1e-6

Scope = Literal["stage", "episode"]


def structural_progress(features: Tensor, stages: Stages, beta: float = 0.0, scope: Scope = "stage") -> ProgressTrack:
    """Progress target of one episode.

        V_t = n/N + 1/N * S_norm(Z_t, Z_{K_n})   for t in stage n of N, whose last frame is K_n

    S_norm is the similarity to K_n, min-max normalised to [0, 1] over ``scope``:

    - ``"stage"``: over the frames of the own stage. Every stage sweeps from n/N to (n+1)/N.
    - ``"episode"``: over all frames of the episode, each with the similarity to the last frame of its own stage. A
      stage in which little changes starts high.

    K_n itself has S_norm = 1, so the last frame of the episode has exactly 1; so has every frame of a stage of one
    frame. Where the similarity doesn't vary over the scope, every frame looks like its subgoal: S_norm = 1.
    Source: Feat2Go (arXiv 2605.30795), structural progress.

    Stages that come with a ``progress`` of their own have that as the target, whatever ``scope`` is.

    Args:
        features: (T, P, D), any real dtype.
        stages: of the same T frames.
        beta: of the patch similarity.
        scope: of the min-max.

    Returns:
        Target float32 (T,) in [0, 1], with stage and similarity, on the CPU.

    Raises:
        ValueError: for empty or non-finite features, stages of another length, or an unknown scope.
    """
    require_track(features)
    if stages.num_frames != len(features):
        raise ValueError(f"the stages cover {stages.num_frames} frames, but there are features of {len(features)}")
    if len(stages.progress) not in (0, len(features)):
        raise ValueError(f"the stages have a progress of {len(stages.progress)} frames, not of {len(features)}")
    if scope not in ("stage", "episode"):
        raise ValueError(f"scope must be 'stage' or 'episode'; got '{scope}'")
    lengths = stages.boundaries.diff().tolist()
    parts = [patch_similarity(part, part[-1], beta).cpu() for part in torch.split(features, lengths)]
    similarity = torch.cat(parts)
    if len(stages.progress):
        return ProgressTrack(stages.progress.float(), stages.stage, similarity)
    normalised = torch.cat([_min_max(part) for part in parts]) if scope == "stage" else _min_max(similarity)
    normalised[stages.last_frames] = 1.0
    target = (stages.stage + normalised) / stages.num_stages
    return ProgressTrack(target.float(), stages.stage, similarity)


def _min_max(similarity: Tensor) -> Tensor:
    """float32 (T,) -> float64 (T,) in [0, 1]."""
    values = similarity.double()
    spread = values.max() - values.min()
    if spread <= MIN_SPREAD:
        return torch.ones_like(values)
    return (values - values.min()) / spread
