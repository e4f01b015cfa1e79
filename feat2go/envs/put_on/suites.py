"""The settings of put-on as suites that ``feat2go evaluate --suite`` runs."""

from __future__ import annotations

from feat2go.core.suites import IN_DISTRIBUTION, SuiteSetting
from feat2go.envs.put_on.settings import SETTINGS

_RLINF = "_rlinf"


def _suite(names: list[str]) -> tuple[SuiteSetting, ...]:
    return tuple(SuiteSetting(name, SETTINGS[name].category, {"setting": name}) for name in names)


# Where RLinf's reading differs, there are two settings.
_TWICE = {name.removesuffix(_RLINF) for name in SETTINGS if name.endswith(_RLINF)}


class PutOnID:
    """In distribution only."""

    name = "put_on_id"
    env = "put_on"
    settings = _suite([name for name in SETTINGS if SETTINGS[name].category == IN_DISTRIBUTION])


class PutOnOOD:
    """In distribution, and the 15 settings out of it as RL4VLA defines them."""

    name = "put_on_ood"
    env = "put_on"
    settings = _suite([name for name in SETTINGS if not name.endswith(_RLINF)])


class PutOnOODRLinf:
    """The same with RLinf's easier reading of the four texture settings: the texture is tied to the table."""

    name = "put_on_ood_rlinf"
    env = "put_on"
    settings = _suite([name for name in SETTINGS if name not in _TWICE])
