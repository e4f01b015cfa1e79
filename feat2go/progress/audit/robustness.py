"""How stages and targets hold up when the same states are seen otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from feat2go.core.ordering import pair_accuracy, rank_correlation
from feat2go.progress.audit.bootstrap import Estimate, bootstrap, mean_of, resample
from feat2go.progress.audit.methods import Labelled, Method, label_by_task
from feat2go.progress.audit.sample import Sample


def paired_scores(clean: Labelled, perturbed: Labelled) -> dict[str, float]:
    """One episode, labelled from clean and from perturbed pictures of the same states.

    Returns:
        ``rank_correlation`` of the two targets, ``boundary_shift``: how far the clean boundaries are from the nearest
        perturbed ones, in frames (to the ends of the episode where there are none), and ``pair_accuracy_drop``.
    """
    num_frames = len(clean.target)
    found = np.array([0, *perturbed.inner_boundaries, num_frames])
    shifts = [float(np.abs(found - cut).min()) for cut in clean.inner_boundaries]
    return {
        "rank_correlation": rank_correlation(clean.target, perturbed.target),
        "boundary_shift": float(np.mean(shifts)) if shifts else 0.0,
        "pair_accuracy_drop": pair_accuracy(clean.target) - pair_accuracy(perturbed.target),
    }


def robustness(
    samples: Sequence[Sample],
    perturbed: Sequence[Tensor],
    method: Method,
    perturbed_method: Method | None = None,
    num_resamples: int = 1000,
) -> dict[str, Estimate]:
    """:func:`paired_scores` of a method, averaged over episodes.

    Args:
        samples: of one task, or of several.
        perturbed: features (T_e, P, D) of the same episodes, seen otherwise.
        method: labels each set on its own.
        perturbed_method: labels the perturbed set, where that is another object, such as values that are given.
        num_resamples: of the bootstrap over episodes.

    Raises:
        ValueError: if an episode has another number of frames.
    """
    others = [replace(sample, features=features) for sample, features in zip(samples, perturbed, strict=True)]
    for sample, other in zip(samples, others, strict=True):
        if len(sample) != len(other):
            raise ValueError(f"episode '{sample.uid}' has {len(sample)} frames, but {len(other)} perturbed ones")
    clean, worse = label_by_task(method, samples), label_by_task(perturbed_method or method, others)
    scores = [paired_scores(*pair) for pair in zip(clean, worse, strict=True)]
    rows = resample([sample.task for sample in samples], num_resamples)
    return {name: bootstrap(mean_of([own[name] for own in scores]), rows).estimate() for name in scores[0]}
