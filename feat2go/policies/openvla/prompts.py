"""Instructions to token ids, and ids put behind prompts of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TEMPLATES = {
    "openvla": "In: What action should the robot take to {instruction}?\nOut:",
    # openvla-v01-7b.
    "v01": (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. "
        "USER: What action should the robot take to {instruction}? ASSISTANT:"
    ),
}
# The lone word-start piece, printed as nothing, that stood between the colon and the actions in training.
EMPTY_PIECE = 29871
BOS = 1
EOS = 2


class Prompter:
    """Fills a template with instructions and tokenises it.

    Args:
        folder: with tokenizer.json.
        template: ``openvla``, ``v01``, or a text with ``{instruction}``, which is put in lower case.
        pad_token_id: fills up shorter prompts.

    Raises:
        ValueError: for a template without ``{instruction}``.
    """

    def __init__(self, folder: Path, template: str, pad_token_id: int) -> None:
        self._template = TEMPLATES.get(template, template)
        if "{instruction}" not in self._template:
            raise ValueError(f"prompt must be {', '.join(TEMPLATES)} or a text with {{instruction}}; got '{template}'")
        self._folder = folder
        self._pad_token_id = pad_token_id
        self._tokenizer: Any = None

    @property
    def has_tokenizer(self) -> bool:
        return (self._folder / "tokenizer.json").is_file()

    def __call__(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B instructions -> ids int64 (B, T), padded on the right, and mask int64 (B, T)."""
        of_text = {text: self._encode(text) for text in set(instructions)}
        rows = [of_text[text] for text in instructions]
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), self._pad_token_id)
        mask = torch.zeros(len(rows), longest, dtype=torch.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        return ids, mask

    def _encode(self, instruction: str) -> list[int]:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            # Not through transformers, whose Llama tokenizers differ from release to release.
            self._tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
            # Settings that may be left in the file; padding is ours.
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
        prompt = self._template.format(instruction=instruction.lower())
        ids: list[int] = self._tokenizer.encode(prompt).ids
        return ids if ids[:1] == [BOS] else [BOS, *ids]


def complete_prompt(input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that end in ``EMPTY_PIECE``, appended where it isn't there yet.

    Args:
        input_ids: int64 (B, T), padded on the right.
        attention_mask: (B, T).

    Returns:
        Ids (B, T') and the number of tokens of each row, (B,); what follows them is padding.

    Raises:
        ValueError: for rows that are empty or padded on the left.
    """
    mask = attention_mask.bool()
    lengths = mask.sum(1)
    if bool((lengths == 0).any()) or not torch.equal(mask, mask_of(lengths, mask.shape[1])):
        raise ValueError("input_ids must be padded on the right, with at least one token in every row")
    last = input_ids.gather(1, lengths[:, None] - 1)
    is_complete = last == EMPTY_PIECE
    ids = append(input_ids, lengths, torch.where(is_complete, input_ids.new_tensor(0), EMPTY_PIECE))
    return ids, lengths + (~is_complete[:, 0]).long()


def append(input_ids: Tensor, lengths: Tensor, suffix: Tensor) -> Tensor:
    """Each row's own suffix (B, n) behind its first ``lengths`` tokens -> (B, longest + n)."""
    longest = int(lengths.max())
    ids = torch.cat([input_ids[:, :longest], torch.zeros_like(suffix)], dim=1)
    places = lengths[:, None] + torch.arange(suffix.shape[1], device=ids.device)
    return ids.scatter(1, places, suffix)


def mask_of(lengths: Tensor, width: int) -> Tensor:
    """Bool (B, width), True at each row's first ``lengths`` places."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]
