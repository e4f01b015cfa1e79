"""What an episode's task is in words."""

from __future__ import annotations

from typing import Any

from feat2go.envs.put_on import names
from feat2go.envs.put_on.assets import AssetsName
from feat2go.envs.put_on.settings import setting_named


def sentence(
    seed: int,
    setting: str = "in_distribution",
    assets: AssetsName = "shipped",
    asset_folder: str | None = None,
    **_: Any,
) -> str:
    """The instruction of the episode with this seed.

    Args:
        seed: of the episode.
        setting: name of the setting.
        assets: whose names are said.
        asset_folder: where the public ones are.
    """
    chosen = setting_named(setting)
    state = chosen.state(chosen.episode_id(seed))
    objects, receptacles = _names(assets, asset_folder)
    return names.instruction(state.phrasing, objects[state.object], receptacles[state.receptacle])


def _names(assets: AssetsName, folder: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if assets == "shipped":
        return names.OBJECTS, names.RECEPTACLES
    from feat2go.envs.put_on.public import public_names

    return public_names(folder)
