"""``feat2go list [SLOT] [PATTERN]``."""

from __future__ import annotations

from collections.abc import Sequence

from feat2go.registry import SLOTS


def run(words: Sequence[str]) -> None:
    """Print the registered names of one slot or of all."""
    if {"-h", "--help"} & set(words):
        print(f'usage: feat2go list [SLOT] [PATTERN]\n\nslots: {", ".join(SLOTS)}\npattern: such as "v*"')
        return
    slot = words[1] if len(words) > 1 else None
    pattern = words[2] if len(words) > 2 else "*"
    if slot is not None and slot not in SLOTS:
        raise ValueError(f"unknown slot '{slot}'; known: {', '.join(SLOTS)}")
    for registry in SLOTS.values() if slot is None else [SLOTS[slot]]:
        print(f"{registry.slot}:")
        for name in registry.names(pattern):
            entry = registry.entry(name)
            needs = f"  [needs {entry.needs}]" if entry.needs else ""
            print(f"  {name:17} {entry.summary}{needs}")
