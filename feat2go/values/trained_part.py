"""A network whose ``state_dict`` holds what is trained, and leaves out what is frozen."""

from __future__ import annotations

import itertools
from typing import Any

from torch import nn


def keep_trained_only(network: nn.Module) -> None:
    """Leave the parameters that are frozen now, and buffers, out of the ``state_dict`` for good.

    They stay as they are when a state is loaded, which must hold all the others: loading stays strict.

    Args:
        network: changed in place. Parameters that are frozen later, as those of a finished model are, stay in.
    """
    trained = {name for name, parameter in network.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    frozen = network.state_dict().keys() - trained

    def leave_out(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        for name in frozen:
            state.pop(prefix + name, None)

    def fill_in(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        own = dict(itertools.chain(module.named_parameters(remove_duplicate=False), module.named_buffers()))
        state.update({prefix + name: own[name].detach() for name in frozen})

    network.register_state_dict_post_hook(leave_out)  # type: ignore[no-untyped-call]
    network.register_load_state_dict_pre_hook(fill_in)  # type: ignore[no-untyped-call]
