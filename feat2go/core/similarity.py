"""How close a frame is to a goal frame, patch by patch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Features are widened to float32 a few frames at a time, whatever the length of the episode: 2 MiB, quicker than more.
MAX_CHUNK_ELEMENTS = 512 * 1024


def require_track(features: Tensor) -> None:
    """Refuse what does not have the shape of patch features.

    Raises:
        ValueError: unless ``features`` is a (T, P, D) with at least one frame, patch and dimension.
    """
    if features.ndim != 3:
        raise ValueError(f"features must have the shape (T, P, D); got {tuple(features.shape)}")
    if features.numel() == 0:
        raise ValueError(f"features must not be empty; got the shape {tuple(features.shape)}")


def require_features(features: Tensor) -> None:
    """Refuse what is not a track of patch features.

    Raises:
        ValueError: unless ``features`` is a finite (T, P, D) with at least one frame, patch and dimension.
    """
    require_track(features)
    if not all(map(_is_finite, features)):
        raise ValueError("features must be finite; found NaN or infinity")


def patch_similarity(features: Tensor, goal: Tensor, beta: float = 0.0) -> Tensor:
    """Similarity of every frame to a goal frame, averaged over patches.

        S(Z_t, Z_K) = 1/P * sum_p cos(z_tp, z_Kp) * exp(-beta * ||z_tp - z_Kp||_1)

    The cosine carries direction, the exponential magnitude; ``beta=0`` is the plain mean patch cosine. The cosine of a
    patch whose features are all zero is 0: it points nowhere. Source: Feat2Go (arXiv 2605.30795), patch similarity.

    Args:
        features: (T, P, D), any real dtype; the arithmetic is float32.
        goal: (P, D).
        beta: how much a difference in magnitude counts, at least 0.

    Returns:
        float32 (T,) in [-1, 1], on the device of ``features``.

    Raises:
        ValueError: for shapes that don't fit, empty or non-finite input, or a negative ``beta``.
    """
    require_track(features)
    if goal.shape != features.shape[1:]:
        raise ValueError(f"the goal must have the shape (P, D) = {tuple(features.shape[1:])}; got {tuple(goal.shape)}")
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a finite number of at least 0; got {beta}")
    goal = goal.float()
    num_frames = max(1, MAX_CHUNK_ELEMENTS // goal.numel())
    similarity = torch.cat([_similarity(chunk.float(), goal, beta) for chunk in torch.split(features, num_frames)])
    # Both NaN and infinity make NaN of the similarity, which is much the smaller to look through.
    if similarity.isnan().any():
        whose = "features" if goal.isfinite().all() else "the goal's features"
        raise ValueError(f"{whose} must be finite; found NaN or infinity")
    return similarity


def _is_finite(frame: Tensor) -> bool:
    # A sum is finite only if all of its terms are, and quick. It may overflow where they are: then each is looked at.
    return math.isfinite(frame.float().sum()) or bool(frame.isfinite().all())


def _similarity(features: Tensor, goal: Tensor, beta: float) -> Tensor:
    """One chunk, float32."""
    cosine = (_unit(features) * _unit(goal)).sum(-1)
    if beta > 0:
        cosine = cosine * torch.exp(-beta * (features - goal).abs().sum(-1))
    return cosine.mean(-1).clamp(-1.0, 1.0)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1; zero stays zero."""
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    unit: Tensor = vectors / norm.masked_fill(norm == 0, 1.0)
    return unit
