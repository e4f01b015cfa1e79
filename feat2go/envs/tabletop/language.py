"""How the task is said: one sentence per episode, from a handful of phrasings."""

from __future__ import annotations

TEMPLATES = (
    "put the {object} on the {receptacle}",
    "place the {object} onto the {receptacle}",
    "pick up the {object} and put it on the {receptacle}",
    "move the {object} to the {receptacle}",
    "set the {object} down on the {receptacle}",
    "take the {object} and place it on the {receptacle}",
)


def instruction(template: int, named_object: str, named_receptacle: str) -> str:
    """A sentence such as ``"put the red cube on the blue plate"``.

    Args:
        template: index into ``TEMPLATES``.
        named_object: colour and kind of the object, e.g. ``"red cube"``.
        named_receptacle: colour and kind of the receptacle, e.g. ``"blue plate"``.
    """
    return TEMPLATES[template].format(object=named_object, receptacle=named_receptacle)
