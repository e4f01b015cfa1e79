"""Weights in half precision, records in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.plugins import HalfPrecision


class HalfWeights(HalfPrecision):
    """Lightning's ``bf16-true`` and ``16-true``, for the weights alone.

    Lightning's own would turn the batch into half precision as well, log-probs and advantages included, and can't: a
    batch is frozen. Policies bring their inputs to the precision of their weights themselves.
    """

    def convert_input(self, data: Any) -> Any:
        """As it is."""
        return data

    @contextmanager
    def forward_context(self) -> Iterator[None]:
        """New tensors are float32, as everywhere."""
        yield
