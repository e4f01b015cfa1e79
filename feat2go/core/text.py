"""Sentences to vectors without a model: a hashed bag of words."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_WORD = re.compile(r"\w+")


def hashed_words(sentences: Sequence[str], num_buckets: int) -> Tensor:
    """Embed sentences by feature hashing (Weinberger et al. 2009, arXiv:0902.2206).

    Every lower-cased word and every pair of neighbouring words adds +1 or -1, by its hash, to one bucket; each row is
    then scaled to unit length. The hash is BLAKE2, so the vectors are the same on every machine and in every process.

    Args:
        sentences: B sentences.
        num_buckets: width of the vectors. Two words share a bucket with probability ``1 / num_buckets``.

    Returns:
        float32 (B, num_buckets); the zero vector for a sentence without words.

    Raises:
        ValueError: for fewer than one bucket, or a single string in place of a sequence of them.
    """
    if isinstance(sentences, str):
        raise ValueError(f"expected a sequence of sentences, got one string: '{sentences}'; write [sentence]")
    if num_buckets < 1:
        raise ValueError(f"num_buckets must be at least 1, got {num_buckets}")
    if not sentences:
        return torch.zeros(0, num_buckets)
    # A batch holds a few sentences many times.
    row_of = {sentence: row for row, sentence in enumerate(dict.fromkeys(sentences))}
    rows = np.fromiter(map(row_of.__getitem__, sentences), np.int64, len(sentences))
    distinct = torch.stack([_embedded(sentence, num_buckets) for sentence in row_of])
    return distinct.index_select(0, torch.from_numpy(rows))


# A policy sees the same ones in every step.
@functools.lru_cache(maxsize=4096)
def _embedded(sentence: str, num_buckets: int) -> Tensor:
    words = _WORD.findall(sentence.lower())
    pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
    counts = torch.zeros(num_buckets)
    for term in (*words, *pairs):
        bucket, sign = _bucket(term, num_buckets)
        counts[bucket] += sign
    return torch.nn.functional.normalize(counts, dim=0)


def _bucket(term: str, num_buckets: int) -> tuple[int, float]:
    digest = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")
    return (digest >> 1) % num_buckets, 1.0 if digest & 1 else -1.0
