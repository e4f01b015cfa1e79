"""Loading models of transformers so that nothing is silently untrained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def load_pretrained(model_class: Any, model: str, dtype: torch.dtype = torch.float32, **config: object) -> Any:
    """A model from a hub id or a local folder; safetensors only, no code from the hub.

    Args:
        model_class: a class of transformers.
        model: ``"organisation/name"`` or a folder with ``config.json`` and ``model.safetensors``.
        dtype: of its parameters.
        config: fields of the model's config to override.

    Raises:
        ValueError: if there is no such model, or it is not one of this class: the message says what was found.
    """
    expected = f"a {model_class.__name__} checkpoint"
    with _quiet():
        try:
            loaded, info = model_class.from_pretrained(
                model, dtype=dtype, use_safetensors=True, output_loading_info=True, **config
            )
        except OSError as error:
            raise ValueError(
                f"'{model}' can't be loaded as {expected}: {str(error).splitlines()[0]} "
                "Give a folder with config.json and model.safetensors, or a hub id while online."
            ) from error
        except RuntimeError as error:
            raise ValueError(f"'{model}' is not {expected}: its weights have other shapes") from error
    if info["missing_keys"]:
        names = sorted(info["missing_keys"])
        raise ValueError(f"'{model}' is not {expected}: {len(names)} weights are missing, such as {names[0]}")
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    # transformers reports every weight that it did not use, such as a text tower; a missing one is an error here.
    from transformers.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(verbosity)
