"""What every command does with its arguments: registry names, layered configs, one-sentence errors."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from feat2go.cli.expand import class_paths, expand, expand_argv, mapping

_yaml_loader = get_loader("yaml")


def install_names() -> None:
    """From here on jsonargparse understands short names in YAML."""

    def load(text: str) -> Any:
        return expand(_yaml_loader(text))

    # Without its exceptions, jsonargparse would not take text that begins like YAML, as a prompt with {image} does.
    set_loader("yaml", load, exceptions=(yaml.YAMLError,))


def read_argv(argv: Sequence[str]) -> list[str]:
    """Expand short names and refuse what jsonargparse would get wrong without a word.

    Raises:
        ValueError: if one layer of the configuration changes a class that an earlier one gave arguments: jsonargparse
            would hand the old class's arguments to the new one.
    """
    expanded = expand_argv(argv)
    _refuse_changed_classes(expanded)
    return expanded


def _refuse_changed_classes(argv: Sequence[str]) -> None:
    given: dict[str, tuple[str, bool]] = {}
    for layer, source in _layers(argv):
        for key, (class_path, has_arguments) in class_paths(layer).items():
            earlier, had_arguments = given.get(key, (class_path, False))
            if had_arguments and not _is_same_class(class_path, earlier):
                raise ValueError(
                    f"{source} makes {key} a {class_path}, but an earlier config makes it a {earlier} with "
                    "arguments, which would leak into the new class. Put the class and its init_args into one config."
                )
            given[key] = (class_path, has_arguments or had_arguments)


def _is_same_class(a: str, b: str) -> bool:
    if a.rpartition(".")[2] != b.rpartition(".")[2]:
        return False
    # jsonargparse takes the bare name of a class too, and saves the shortest path that a class can be imported from.
    return a == b or "." not in a or "." not in b or _load(a) is _load(b)


def _load(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, class_path)
    except ImportError:
        # jsonargparse will say so.
        return class_path


def _layers(argv: Sequence[str]) -> list[tuple[Any, str]]:
    layers: list[tuple[Any, str]] = []
    for i, argument in enumerate(argv):
        option, equals, value = argument.partition("=")
        if not option.startswith("-"):
            continue
        if not equals:
            value = argv[i + 1] if i + 1 < len(argv) else ""
        if option in ("--config", "-c") and Path(value).is_file():
            layers.append((expand(yaml.safe_load(Path(value).read_text())), value))
        elif mapping(value) is not None:
            layers.append((_nest(option[2:], mapping(value)), option))
        elif _is_class(value):
            layers.append((_nest(option[2:].removesuffix(".class_path"), {"class_path": value}), option))
    return layers


def _is_class(value: str) -> bool:
    # `--trainer.logger=false` takes a class away rather than change it.
    return all(part.isidentifier() for part in value.split(".")) and isinstance(yaml.safe_load(value), str)


def _nest(key: str, tree: Any) -> Any:
    for part in reversed(key.split(".")):
        if part != "init_args":
            tree = {part: tree}
    return tree


def run_function(function: Callable[..., Any], words: Sequence[str], positional: Sequence[str] = ()) -> Any:
    """Call a typed function with arguments from a command line and its ``--config`` files.

    Args:
        function: its signature gives the options, its docstring their help.
        words: the command's name, then its arguments.
        positional: parameters that are given without a name.
    """
    install_names()
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    parser = ArgumentParser(prog=f"feat2go {words[0]}", description=summary, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file; may be given more than once")
    for name in positional:
        parser.add_argument(name, type=inspect.signature(function, eval_str=True).parameters[name].annotation)
    parser.add_function_arguments(function, skip=set(positional))
    config = parser.parse_args(read_argv(words[1:]))
    config.pop("config", None)
    return function(**vars(parser.instantiate(config)))
