"""A part of a network that comes from elsewhere and stays as it is."""

from __future__ import annotations

from typing import Any

from torch import nn


class FrozenPart(nn.Module):
    """Holds a pretrained part: always in eval mode, without gradients, and not in the ``state_dict``.

    If it is a module, it moves between devices with the network; but its weights are rebuilt from their own source and
    so belong into no checkpoint.
    """

    def __init__(self, part: Any) -> None:
        super().__init__()
        self.part: Any = part
        self.requires_grad_(False)
        self.eval()
        self.register_load_state_dict_pre_hook(_keep_own_weights)  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> FrozenPart:
        """Stay in eval mode."""
        return super().train(False)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing, in the container that the caller gave."""
        destination = kwargs.get("destination", args[0] if args else None)
        return {} if destination is None else destination


def _keep_own_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    # A strict load of the whole network would otherwise miss what state_dict leaves out.
    state.update({prefix + name: tensor for name, tensor in nn.Module.state_dict(module).items()})
