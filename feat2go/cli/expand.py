"""Short names to full class paths, in YAML and on the command line, before jsonargparse sees them.

``encoder: vjepa2``, ``encoder: {class_path: vjepa2}`` and the full dotted path are the same thing, and the saved config
always shows the full path. Only a plug-in that is named gets imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import yaml

from feat2go.registry import SLOTS, Registry

_BY_KEY = {registry.noun: registry for registry in SLOTS.values()}


def expand(tree: Any) -> Any:
    """A config tree in which every short name under a slot's key is a full class path.

    Raises:
        UnknownNameError: for a name that is not registered.
    """
    if isinstance(tree, list):
        return [expand(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _expand_slot(_BY_KEY[key], value) if key in _BY_KEY else expand(value) for key, value in tree.items()}


def _expand_slot(registry: Registry, value: Any) -> Any:
    if isinstance(value, str):
        return {"class_path": _class_path(registry, value)}
    if isinstance(value, dict) and isinstance(value.get("class_path"), str):
        return {**expand(value), "class_path": _class_path(registry, value["class_path"])}
    return expand(value)


def _class_path(registry: Registry, name: str) -> str:
    return name if "." in name else registry.entry(name).class_path


def expand_argv(argv: Sequence[str]) -> list[str]:
    """The same for ``--model.policy=tiny_vla``, ``--env tabletop`` and ``--env.class_path=tabletop``.

    A class with arguments may be given as JSON: ``--env '{"class_path": "tabletop", "init_args": {"num_envs": 4}}'``.
    """
    expanded: list[str] = []
    registry = None
    for argument in argv:
        option, equals, value = argument.partition("=")
        if registry is not None and not argument.startswith("-"):
            expanded.append(_expand_word(registry, argument))
            registry = None
            continue
        registry = _slot_of(option)
        if registry is not None and equals:
            expanded.append(f"{option}={_expand_word(registry, value)}")
            registry = None
        else:
            expanded.append(argument)
    return expanded


def _expand_word(registry: Registry, word: str) -> str:
    tree = mapping(word)
    return _class_path(registry, word) if tree is None else json.dumps(_expand_slot(registry, tree))


def mapping(word: str) -> dict[str, Any] | None:
    """The tree that a word of a command line spells out as JSON, or None.

    Raises:
        ValueError: if it begins as one and does not end as one.
    """
    if not word.lstrip().startswith("{"):
        return None
    try:
        tree: dict[str, Any] = yaml.safe_load(word)
    except yaml.YAMLError as error:
        raise ValueError(f"not valid JSON: {word}") from error
    return tree


def _slot_of(option: str) -> Registry | None:
    if not option.startswith("--"):
        return None
    key = re.sub(r"\.class_path$", "", option[2:]).rpartition(".")[2]
    return _BY_KEY.get(key)


def class_paths(tree: Any, prefix: str = "") -> dict[str, tuple[str, bool]]:
    """Dotted key -> (class path, whether init_args are given), for every class in a config tree.

    A string may name a class anywhere, so it is listed as one without arguments.
    """
    if isinstance(tree, str):
        return {prefix: (tree, False)}
    found: dict[str, tuple[str, bool]] = {}
    if not isinstance(tree, dict):
        return found
    for key, value in tree.items():
        if key == "class_path":
            found[prefix] = (str(value), bool(tree.get("init_args")))
        else:
            found |= class_paths(value, prefix if key == "init_args" else f"{prefix}.{key}".lstrip("."))
    return found
