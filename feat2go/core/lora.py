"""Low-rank adapters (LoRA, arXiv 2106.09685) on any network, through peft.

Adapters are put in place: the network keeps its class, its methods and the names of its modules; an adapted
``nn.Linear`` moves one level down, to ``<name>.base_layer``. Needs nothing but ``nn.Linear`` s to work on.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from feat2go.core.files import atomic_write

ALL_LINEAR = "all-linear"
INITS = ("gaussian", "kaiming")
# peft's own layout of a saved adapter.
_CONFIG_FILE = "adapter_config.json"
_WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_ADAPTER = "default"
_LORA_KEY = re.compile(r"(.+)\.(lora_[AB])\.weight")


def add_lora(
    network: nn.Module,
    rank: int,
    alpha: float,
    targets: str | Sequence[str] = ALL_LINEAR,
    exclude: Sequence[str] = (),
    dropout: float = 0.0,
    init: str = "gaussian",
) -> list[str]:
    """Freeze a network and give its linear layers float32 adapters: W x + alpha / rank * B A x.

    B starts at zero, so that the network computes what it did before.

    Args:
        network: changed in place. Its own parameters keep their dtype and stop learning.
        rank: r, of A (r, in) and B (out, r).
        alpha: scale, divided by the rank.
        targets: ``"all-linear"``, or parts of module names: ``"q_proj"`` takes every layer of that name,
            ``"language_model"`` every linear layer below it.
        exclude: parts of module names that are left out.
        dropout: of the adapters' input. Above 0, rollout and update disagree.
        init: of A: ``"gaussian"`` with deviation 1/r, or ``"kaiming"``, that of a linear layer.

    Returns:
        The names of the adapted layers.

    Raises:
        ValueError: for a target or an exclusion that no linear layer has, or settings out of range.
    """
    if is_adapted(network):
        raise ValueError("the network has adapters already; merge them first")
    if rank < 1 or alpha <= 0 or not 0 <= dropout < 1:
        raise ValueError(f"rank is at least 1, alpha above 0, dropout in [0, 1); got {rank}, {alpha}, {dropout}")
    if init not in INITS:
        raise ValueError(f"unknown initialisation '{init}' of adapters; known: {', '.join(INITS)}")
    chosen = choose_linear(network, targets, exclude)
    _inject(network, chosen, rank, alpha, dropout, init)
    return chosen


def _inject(
    network: nn.Module, layers: Sequence[str], rank: int, alpha: float, dropout: float = 0.0, init: str = "gaussian"
) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=dropout,
        # As one pattern: a list would match by the ends of names, which may be those of other modules too.
        target_modules="|".join(re.escape(name) for name in layers),
        init_lora_weights="gaussian" if init == "gaussian" else True,
    )
    inject_adapter_in_model(config, network, adapter_name=_ADAPTER)
    for name, parameter in network.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()


def choose_linear(network: nn.Module, targets: str | Sequence[str], exclude: Sequence[str] = ()) -> list[str]:
    """Names of the linear layers that ``targets`` and ``exclude`` of :func:`add_lora` mean.

    Raises:
        ValueError: for a name that no linear layer has.
    """
    # Not its subclasses: that of nn.MultiheadAttention is never called, so an adapter there would do nothing.
    linear = [name for name, module in network.named_modules() if type(module) is nn.Linear or _is_4bit(module)]
    wanted = [targets] if isinstance(targets, str) else list(targets)
    for part in [*wanted, *exclude]:
        if part != ALL_LINEAR and not any(_has_part(name, part) for name in linear):
            raise ValueError(_unknown_part(part, linear, network))
    return [
        name
        for name in linear
        if any(part == ALL_LINEAR or _has_part(name, part) for part in wanted)
        and not any(_has_part(name, part) for part in exclude)
    ]


def _has_part(name: str, part: str) -> bool:
    return f".{part}." in f".{name}."


def _unknown_part(part: str, linear: Sequence[str], network: nn.Module) -> str:
    known = sorted({piece for name in linear for piece in name.split(".") if not piece.isdigit()})
    close = difflib.get_close_matches(part, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return (
        f"adapters: no linear layer of {type(network).__name__} has '{part}' in its name.{hint} "
        f"Known: {ALL_LINEAR}, {', '.join(known)}"
    )


def is_adapted(network: nn.Module) -> bool:
    """Whether a network has adapters."""
    return any(True for _ in _adapted(network))


def _adapted(network: nn.Module) -> list[tuple[str, Any]]:
    if not any(name.endswith("lora_A") for name, _ in network.named_modules()):
        return []
    from peft.tuners.lora import LoraLayer

    return [(name, module) for name, module in network.named_modules() if isinstance(module, LoraLayer)]


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """The adapters alone: ``<layer>.lora_A.weight`` and ``<layer>.lora_B.weight``, float32."""
    return {
        f"{name}.{part}.weight": getattr(layer, part)[_ADAPTER].weight.detach()
        for name, layer in _adapted(network)
        for part in ("lora_A", "lora_B")
    }


def save_adapter(network: nn.Module, folder: Path, base: str = "") -> None:
    """Write the adapters alone, in peft's layout: ``PeftModel.from_pretrained`` reads it as well.

    Args:
        network: with adapters.
        folder: gets adapter_config.json and adapter_model.safetensors, each whole or not at all.
        base: where the network under the adapters came from; noted for readers.
    """
    layers = _adapted(network)
    if not layers:
        raise ValueError("the network has no adapters to save")
    _, first = layers[0]
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": first.r[_ADAPTER],
        "lora_alpha": first.lora_alpha[_ADAPTER],
        "target_modules": "|".join(re.escape(name) for name, _ in layers),
        "inference_mode": True,
    }
    state = {_PREFIX + name: value.contiguous() for name, value in adapter_state(network).items()}
    with atomic_write(folder / _WEIGHTS_FILE) as partial:
        save_file(state, partial)
    with atomic_write(folder / _CONFIG_FILE) as partial:
        partial.write_text(json.dumps(config, indent=2) + "\n")


def load_adapter(network: nn.Module, folder: Path) -> None:
    """Read adapters that :func:`save_adapter` or peft wrote.

    Args:
        network: with adapters of the same shapes and scale; or without, then it gets them.
        folder: with adapter_config.json and adapter_model.safetensors.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for adapters of another kind or scale, or tensors that are missing, unexpected or wrongly shaped.
    """
    for file in (_CONFIG_FILE, _WEIGHTS_FILE):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder} holds no adapters: {file} is missing")
    config: dict[str, Any] = json.loads((folder / _CONFIG_FILE).read_text())
    _require_plain_lora(config, folder)
    state = {name.removeprefix(_PREFIX): value for name, value in load_file(folder / _WEIGHTS_FILE).items()}
    if is_adapted(network):
        _require_scale(network, config, folder)
    else:
        layers = {match[1] for name in state if (match := _LORA_KEY.fullmatch(name))}
        absent = layers - set(choose_linear(network, ALL_LINEAR))
        if absent:
            raise ValueError(
                f"the adapters in {folder} are for layers that are not there: {', '.join(sorted(absent)[:5])}"
            )
        _inject(network, sorted(layers), config["r"], config["lora_alpha"])
    set_adapter_state(network, state)


def _require_scale(network: nn.Module, config: Mapping[str, Any], folder: Path) -> None:
    _, layer = _adapted(network)[0]
    own, stored = layer.scaling[_ADAPTER], config["lora_alpha"] / config["r"]
    if own != stored:
        raise ValueError(f"the adapters in {folder} were trained with alpha / rank = {stored:g}; here it is {own:g}")


def set_adapter_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy what :func:`adapter_state` gave into the adapters of a network.

    Raises:
        ValueError: for tensors that are missing, unexpected or wrongly shaped, by name.
    """
    own = adapter_state(network)
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    misshapen = [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    for problem, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)):
        if names:
            raise ValueError(f"the adapters don't fit the network; {problem}: {', '.join(sorted(names)[:5])}")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def _require_plain_lora(config: Mapping[str, Any], folder: Path) -> None:
    variants = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save", "lora_bias")
    used = [name for name in variants if config.get(name)]
    if config.get("peft_type") != "LORA" or used or config.get("bias", "none") != "none":
        raise ValueError(
            f"{folder / _CONFIG_FILE} is of peft_type {config.get('peft_type')} with {', '.join(used) or 'bias'}; "
            "plain LoRA is what can be read. Merge it with peft and load the merged checkpoint."
        )


def merge_lora(network: nn.Module) -> None:
    """Add the adapters to the weights below them, in the weights' own dtype, and take the adapters away.

    Raises:
        ValueError: if there are none, for a base in 4 bits, or if merging gives numbers that are not finite.
    """
    layers = _adapted(network)
    if not layers:
        raise ValueError("the network has no adapters to merge")
    if any(_is_4bit(layer.get_base_layer()) for _, layer in layers):
        raise ValueError("adapters can't be merged into a 4-bit base; load the base as it is, and the adapters into it")
    for name, layer in layers:
        layer.merge(safe_merge=True)
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, layer.get_base_layer())
    if hasattr(network, "peft_config"):
        del network.peft_config


def _is_4bit(module: nn.Module) -> bool:
    return type(module).__name__ == "Linear4bit"
