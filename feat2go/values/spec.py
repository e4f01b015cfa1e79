"""A factory as plain data and back: what a saved value model keeps of how it was built.

A spec is ``{"class_path": "package.module.Class", "init_args": {...}}``, as in YAML. An argument that is itself a
factory is a nested spec.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from feat2go.registry import ENCODERS, POLICIES, VALUES

TRUSTED_PACKAGES = ("feat2go.values.", "feat2go.encoders.", "feat2go.policies.")


def spec_of(factory: Callable[[], Any]) -> dict[str, Any]:
    """Describe a class, or a ``functools.partial`` of one with keyword arguments that are plain values or factories.

    Raises:
        ValueError: for anything else, such as a lambda.
    """
    cls, arguments = _parts(factory)
    if cls.__qualname__ != cls.__name__:
        raise ValueError(f"{cls.__qualname__} can't be rebuilt from a saved model: define it at the top of a module")
    return {
        "class_path": f"{cls.__module__}.{cls.__name__}",
        "init_args": {name: _plain(value, f"{cls.__name__}.{name}") for name, value in arguments.items()},
    }


def factory_of(spec: Any, allow_any_class: bool = False) -> Callable[[], Any]:
    """The factory that a spec describes.

    Args:
        spec: from :func:`spec_of`, perhaps from a file that somebody else wrote.
        allow_any_class: import classes from anywhere. Otherwise only those in feat2go's values, encoders and policies
            and those that a registered name stands for.

    Raises:
        ValueError: for a malformed spec or a class that is not allowed.
    """
    if (
        not isinstance(spec, dict)
        or set(spec) != {"class_path", "init_args"}
        or not isinstance(spec["init_args"], dict)
    ):
        raise ValueError(f"expected {{'class_path': ..., 'init_args': {{...}}}}, got {spec!r}")
    cls = _find_class(str(spec["class_path"]), allow_any_class)
    arguments = {
        name: factory_of(value, allow_any_class) if isinstance(value, dict) and "class_path" in value else value
        for name, value in spec["init_args"].items()
    }
    return partial(cls, **arguments)


def _parts(factory: Callable[[], Any]) -> tuple[type, dict[str, Any]]:
    if inspect.isclass(factory):
        return factory, {}
    if isinstance(factory, partial):
        # jsonargparse's factories are partials of its own instantiator, whose last positional argument is the class.
        called = [factory.func, *factory.args][-1]
        if inspect.isclass(called):
            return called, factory.keywords
    raise ValueError(
        f"{factory!r} can't be saved as configuration: give a class, or functools.partial of one with keyword arguments"
    )


def _plain(value: Any, name: str) -> Any:
    if callable(value):
        return spec_of(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    raise ValueError(f"argument {name} can't be saved as configuration: {value!r} is no plain value and no factory")


def _find_class(class_path: str, allow_any_class: bool) -> type:
    module, _, name = class_path.rpartition(".")
    registered = _registered_class(class_path, name)
    if registered is not None:
        return registered
    if not allow_any_class and not class_path.startswith(TRUSTED_PACKAGES):
        raise ValueError(
            f"the saved model names the class {class_path}, which is neither feat2go's nor registered. Importing it "
            "runs its module's code: if you trust the folder, load it with allow_any_class=True"
        )
    cls = getattr(importlib.import_module(module), name, None)
    if not inspect.isclass(cls) or cls.__module__ != module:
        raise ValueError(f"the saved model names {class_path}, which is no class of that module")
    return cls


def _registered_class(class_path: str, name: str) -> type | None:
    # A package may register a class under a shorter path than the module that defines it.
    for registry in (ENCODERS, VALUES, POLICIES):
        for short_name in registry:
            if registry.entry(short_name).class_path.rpartition(".")[2] != name:
                continue
            cls = registry.get(short_name)
            if class_path in (registry.entry(short_name).class_path, f"{cls.__module__}.{cls.__name__}"):
                return cls
    return None
