"""Short names for the parts that users choose and extend. Standard library only."""

from feat2go.registry.registry import Entry, Registry, UnknownNameError
from feat2go.registry.slots import (
    ALGORITHMS,
    CLUSTERING,
    ENCODERS,
    ENVS,
    FORMATS,
    POLICIES,
    REWARDS,
    SLOTS,
    SUITES,
    VALUES,
)

__all__ = [
    "ALGORITHMS",
    "CLUSTERING",
    "ENCODERS",
    "ENVS",
    "FORMATS",
    "POLICIES",
    "REWARDS",
    "SLOTS",
    "SUITES",
    "VALUES",
    "Entry",
    "Registry",
    "UnknownNameError",
]
