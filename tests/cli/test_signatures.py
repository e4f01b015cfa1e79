"""What YAML can fill: every constructor takes flat values, and none has a class for a default.

jsonargparse would hand the arguments of a default class to whichever class takes its place (docs/traps.md).
"""

import importlib.util
import inspect

import pytest

from feat2go import training
from feat2go.cli.audit import audit_dataset
from feat2go.cli.collect import collect_demonstrations
from feat2go.cli.demo import demo
from feat2go.cli.evaluate import evaluate_policy
from feat2go.cli.label import label_dataset
from feat2go.registry import SLOTS

FUNCTIONS = [audit_dataset, collect_demonstrations, demo, evaluate_policy, label_dataset]
MODULES = [getattr(training, name) for name in training.__all__]
NAMES = [(slot, name) for slot, registry in SLOTS.items() for name in registry.names() if slot != "formats"]


def is_plain(value):
    if isinstance(value, tuple | list):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def require_plain_signature(function):
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.kind is not parameter.VAR_POSITIONAL, f"{function.__qualname__} takes *{parameter.name}"
        assert parameter.kind is not parameter.VAR_KEYWORD, f"{function.__qualname__} takes **{parameter.name}"
        assert parameter.annotation is not parameter.empty, f"{function.__qualname__}: {parameter.name} has no type"
        if parameter.default is not parameter.empty:
            assert is_plain(parameter.default), f"{function.__qualname__}: {parameter.name} = {parameter.default!r}"


@pytest.mark.parametrize(("slot", "name"), NAMES)
def test_of_registered_classes(slot, name):
    if name == "maniskill" and importlib.util.find_spec("mani_skill") is None:
        pytest.skip("mani-skill is not installed")
    cls = SLOTS[slot].get(name)
    if cls.__init__ is not object.__init__:
        require_plain_signature(cls)


@pytest.mark.parametrize("function", [*MODULES, *FUNCTIONS], ids=lambda function: function.__name__)
def test_of_modules_and_commands(function):
    require_plain_signature(function)
    assert inspect.getdoc(function), "the help that users see"
