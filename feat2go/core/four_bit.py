"""A frozen base in 4 bits per weight (QLoRA, arXiv 2305.14314, section 3), through bitsandbytes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from feat2go.core.lora import ALL_LINEAR, choose_linear


def quantise_4bit(network: nn.Module, exclude: Sequence[str] = ()) -> list[str]:
    """Store the weights of a network's linear layers as NF4, a quarter of what they take in bf16.

    For the base under adapters: it can't learn itself, and adapters can't be merged into it.

    Args:
        network: changed in place. Its other parameters, biases included, stay as they are.
        exclude: parts of the names of modules that are left as they are.

    Returns:
        The names of the quantised layers, which compute in the dtype that they had.

    Raises:
        ModuleNotFoundError: without bitsandbytes, with the command that installs it.
        ValueError: for an exclusion that no linear layer has.
    """
    try:
        bnb: Any = importlib.import_module("bitsandbytes.nn")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a 4-bit base needs bitsandbytes: pip install 'feat2go[4bit]'") from error
    chosen = choose_linear(network, ALL_LINEAR, exclude)
    for name in chosen:
        linear = network.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        weight = linear.weight
        quantised = bnb.Linear4bit(
            linear.in_features,
            linear.out_features,
            linear.bias is not None,
            weight.dtype,
            quant_type="nf4",
            device="meta",
        )
        quantised.bias = linear.bias
        with torch.no_grad():
            # Moving it to a device is what quantises it, also to the one where it is.
            stored = bnb.Params4bit(weight.detach(), requires_grad=False, quant_type="nf4", module=quantised)
            quantised.weight = stored.to(weight.device)
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, quantised.requires_grad_(False))
    return chosen
