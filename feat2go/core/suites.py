"""What an evaluation suite is: one environment in several settings, grouped into categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

IN_DISTRIBUTION = "ID"


@dataclass(frozen=True)
class SuiteSetting:
    """One setting of a suite.

    Attributes:
        name: what tables call it; unique in its suite.
        category: the group that it is averaged in; ``IN_DISTRIBUTION`` is left out of the mean over categories.
        env_arguments: constructor arguments of the environment that make this setting.
    """

    name: str
    category: str
    env_arguments: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Suite(Protocol):
    """A named list of settings.

    Attributes:
        name: what rows say they belong to; the registered name.
        env: registered name of the environment that they are settings of.
        settings: in the order in which they are run and shown.
    """

    name: str
    env: str
    settings: tuple[SuiteSetting, ...]
