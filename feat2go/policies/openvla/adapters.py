"""Adapters on the network of a checkpoint, and what a folder with adapters alone says of its base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from feat2go.core.four_bit import quantise_4bit
from feat2go.core.lora import add_lora, load_adapter, merge_lora

ADAPTER_FOLDER = "adapter"


def adapt(network: nn.Module, folder: Path, settings: Mapping[str, Any]) -> None:
    """Give a network the adapters that the settings ask for, and those that its folder holds.

    Args:
        network: with the weights of the base; changed in place.
        folder: of the policy. Stored adapters are merged into the weights if the settings ask for none.
        settings: the policy's.

    Raises:
        ValueError: for targets that the network does not have, or stored adapters of another shape.
        ModuleNotFoundError: for a 4-bit base without bitsandbytes.
    """
    if settings["load_in_4bit"]:
        # The head's 256 action rows decide everything; it stays as it is.
        quantise_4bit(network, exclude=["lm_head"])
        network.requires_grad_(False)
    rank = settings["lora_rank"]
    if rank:
        alpha = settings["lora_alpha"] or rank
        add_lora(network, rank, alpha, settings["lora_targets"], settings["lora_exclude"] or ())
    stored = folder / ADAPTER_FOLDER
    if stored.is_dir():
        load_adapter(network, stored)
        if not rank:
            merge_lora(network)
            network.requires_grad_(True)


def base_name(checkpoint: str) -> str:
    """How a folder of adapters names its base: an absolute path, or a hub id."""
    return str(Path(checkpoint).resolve()) if Path(checkpoint).is_dir() else checkpoint
