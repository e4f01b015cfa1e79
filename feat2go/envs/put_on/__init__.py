"""Put an object on a receptacle: one scene in many settings, in and out of distribution. Importing it is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feat2go.envs.put_on.settings import SETTINGS, EpisodeState, Setting, setting_named

if TYPE_CHECKING:
    from feat2go.envs.put_on.env import PutOn


def __getattr__(name: str) -> Any:
    if name == "PutOn":
        from feat2go.envs.put_on.env import PutOn

        return PutOn
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["SETTINGS", "EpisodeState", "PutOn", "Setting", "setting_named"]
