from feat2go.envs.tabletop.env import Tabletop

__all__ = ["Tabletop"]
