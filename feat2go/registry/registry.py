"""A table from short names to import paths. It lists and looks up; building is jsonargparse's work."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

T = TypeVar("T", bound=type)


class UnknownNameError(LookupError):
    """A short name that no built-in, decorator or entry point has registered."""


@dataclass(frozen=True)
class Entry:
    """One registered class.

    Attributes:
        path: where it lives, as ``"package.module:Class"``.
        summary: one line for ``feat2go list``.
        needs: what must be there besides the package itself (weights, an extra), or an empty string.
    """

    path: str
    summary: str = ""
    needs: str = ""

    @property
    def class_path(self) -> str:
        """The path with a dot before the class, as jsonargparse writes it."""
        return self.path.replace(":", ".")


class Registry:
    """Short name -> import path, for one slot.

    Third parties add a name with :meth:`register` in a script, or with the entry-point group ``feat2go.<slot>`` in a
    package. Entry points are scanned at the first look-up, never at import.

    Args:
        slot: the plural that users see (``encoders``).
        noun: the singular for messages and for the YAML key (``encoder``).
        builtin: the names that ship with feat2go.
    """

    def __init__(self, slot: str, noun: str, builtin: Mapping[str, Entry]) -> None:
        self.slot = slot
        self.noun = noun
        self._entries = dict(builtin)
        self._scanned = False

    def register(self, name: str, *, needs: str = "") -> Callable[[T], T]:
        """Class decorator that adds ``name``.

        Raises:
            ValueError: if the name is taken by another class.
        """

        def add(cls: T) -> T:
            summary = (cls.__doc__ or "").strip().partition("\n")[0]
            self._add(name, Entry(f"{cls.__module__}:{cls.__qualname__}", summary, needs))
            return cls

        return add

    def names(self, pattern: str = "*") -> list[str]:
        """Sorted names that match a shell pattern such as ``"v*"``."""
        self._scan()
        return sorted(fnmatch.filter(self._entries, pattern))

    def entry(self, name: str) -> Entry:
        """The entry of ``name``.

        Raises:
            UnknownNameError: in one sentence: what was asked, the closest name, the known ones.
        """
        self._scan()
        if name in self._entries:
            return self._entries[name]
        close = difflib.get_close_matches(name, self._entries, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        known = ", ".join(self.names())
        raise UnknownNameError(f"unknown {self.noun} '{name}'.{hint} Known: {known}. Or give a full class_path.")

    def get(self, name: str) -> type[Any]:
        """Import and return the class registered as ``name``."""
        module, _, attribute = self.entry(name).path.partition(":")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        self._scan()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _add(self, name: str, entry: Entry) -> None:
        taken = self._entries.get(name)
        if taken is not None and taken.path != entry.path:
            raise ValueError(f"{self.noun} '{name}' is already {taken.path}; choose another name for {entry.path}")
        self._entries[name] = entry

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        for point in entry_points(group=f"feat2go.{self.slot}"):
            origin = f"plug-in from {point.dist.name} {point.dist.version}" if point.dist else "plug-in"
            self._add(point.name, Entry(point.value, origin))
