"""Stages by change points: pieces of the patch trajectory that stay near their own mean."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from feat2go.core.similarity import require_features
from feat2go.core.types import Stages


class Pelt:
    """Change points of the whole patch trajectory with a penalty on their number, by ``ruptures``.

    The cut minimises, over all numbers of stages,

        sum_n sum_{t in n} ||x_t - mean_n||^2 + penalty * V * (number of cuts)

    where x_t holds the patches of frame t at unit length, so that ||x_s - x_t||^2 = 2 (1 - S(Z_s, Z_t)), and V is the
    same sum for a single stage. Source: PELT (Killick et al., arXiv 1101.1438), kernel change points of ruptures.

    Args:
        penalty: what a further stage must save, as a share of V; at least 0.
        num_stages: exactly so many stages instead, or as many as ``min_stage`` allows.
        min_stage: frames per stage, at least 1.

    Raises:
        ValueError: for a number outside of its range.
        ModuleNotFoundError: without ``ruptures``, with the command that installs it.
    """

    def __init__(self, penalty: float = 0.05, num_stages: int | None = None, min_stage: int = 2) -> None:
        if not penalty >= 0:
            raise ValueError(f"penalty must be at least 0; got {penalty}")
        if num_stages is not None and num_stages < 1:
            raise ValueError(f"num_stages must be at least 1; got {num_stages}")
        if min_stage < 1:
            raise ValueError(f"min_stage must be at least 1 frame; got {min_stage}")
        self.penalty = penalty
        self.num_stages = num_stages
        self.min_stage = min_stage
        self._ruptures = _import_ruptures()

    def segment(self, features: Tensor) -> Stages:
        """Features (T, P, D) -> stages of T frames.

        Raises:
            ValueError: for empty or non-finite features.
        """
        require_features(features)
        num_frames = len(features)
        num_stages = min(self.num_stages or num_frames, num_frames // self.min_stage)
        points = _points(features)
        variation = float(((points - points.mean(0)) ** 2).sum())
        if num_stages < 2 or variation < 1e-9:
            return Stages.from_boundaries([0, num_frames])
        search = self._ruptures.KernelCPD(kernel="linear", min_size=self.min_stage).fit(points.numpy())
        if self.num_stages is None:
            cuts = search.predict(pen=max(self.penalty * variation, 1e-9))
        else:
            cuts = search.predict(n_bkps=num_stages - 1)
        return Stages.from_boundaries([0, *cuts])


def _points(features: Tensor) -> Tensor:
    """Float64 (T, T), a root of the Gram matrix: points as far apart as the frames' patches at unit length."""
    unit = torch.nn.functional.normalize(features.float().cpu(), dim=-1).flatten(1)
    eigenvalues, vectors = torch.linalg.eigh((unit @ unit.T).double() / features.shape[1])
    points: Tensor = vectors * eigenvalues.clamp(min=0).sqrt()
    return points


def _import_ruptures() -> Any:
    try:
        import ruptures
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the clustering 'pelt' needs ruptures: pip install 'feat2go[audit]'", name="ruptures"
        ) from None
    return ruptures
