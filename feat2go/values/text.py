"""Instructions to vectors. All embedders are frozen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from feat2go.core import weights
from feat2go.core.text import hashed_words
from feat2go.values.hashing import weights_hash

PACKAGED = "minilm"


class HashedWords(nn.Module):
    """Bag of words and word pairs by feature hashing; needs no weights. See :func:`feat2go.core.text.hashed_words`.

    Args:
        num_buckets: width of the vectors.
    """

    def __init__(self, num_buckets: int = 512) -> None:
        super().__init__()
        self.dim = num_buckets
        self.fingerprint = f"hashed-words-{num_buckets}"

    def forward(self, sentences: Sequence[str]) -> Tensor:
        """B sentences -> float32 (B, dim), on the CPU."""
        return hashed_words(sentences, self.dim)


class SentenceEncoder(nn.Module):
    """A pretrained sentence encoder: mean of the last hidden states over the words, scaled to unit length.

    Args:
        model: a Hugging Face id, a local folder, or ``"minilm"`` for the all-MiniLM-L6-v2 that
            ``feat2go weights get minilm`` fetches.
    """

    def __init__(self, model: str = PACKAGED) -> None:
        from transformers import AutoModel, AutoTokenizer

        super().__init__()
        source = str(weights.path(PACKAGED)) if model == PACKAGED else model
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.model = AutoModel.from_pretrained(source, use_safetensors=True).eval().requires_grad_(False)
        self.dim = int(self.model.config.hidden_size)
        self.fingerprint = weights_hash(self.model.state_dict())
        self._known: dict[str, Tensor] = {}

    @torch.no_grad()
    def forward(self, sentences: Sequence[str]) -> Tensor:
        """B sentences -> float32 (B, dim), on the CPU. A sentence is embedded once and remembered."""
        new = sorted(set(sentences) - self._known.keys())
        if new:
            self._known.update(zip(new, self._embed(new), strict=True))
        return torch.stack([self._known[sentence] for sentence in sentences])

    def _embed(self, sentences: list[str]) -> Tensor:
        tokens = self.tokenizer(sentences, padding=True, truncation=True, return_tensors="pt").to(self.model.device)
        hidden = self.model(**tokens).last_hidden_state.float()
        mask = tokens["attention_mask"][:, :, None]
        return nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1).cpu()
