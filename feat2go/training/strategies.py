"""How training is spread over processes: ``--trainer.strategy ddp`` and ``fsdp2``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, StrategyRegistry
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from feat2go.training.checkpoints import read_checkpoint

# The one dimension of the mesh that parameters are sharded over. The other is Lightning's, for tensor parallelism.
_MESH_DIM = "data_parallel"
# Of a policy, where its parameters are gathered.
_METHODS = ("act", "evaluate", "cloning_loss")


class FSDP2(ModelParallelStrategy):
    """Parameters, gradients and optimiser states sharded over all processes, by PyTorch's ``fully_shard``.

    A checkpoint is one file with everything in full, as without sharding: it goes on with any strategy and any number
    of processes, and its policy can be loaded by one.

    Args:
        timeout_s: seconds after which a process that waits for the others gives up.
    """

    def __init__(self, timeout_s: float = 1800.0) -> None:
        super().__init__(save_distributed_checkpoint=False, timeout=timedelta(seconds=timeout_s))

    def setup_environment(self) -> None:
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        # Lightning shows it to the module only after its tensors were taken over.
        require_fit = getattr(self.lightning_module, "require_fit", None)
        if require_fit is not None:
            require_fit(read_checkpoint(Path(self.broadcast(checkpoint_path))))
        return super().load_checkpoint(checkpoint_path, weights_only)


def register_strategies() -> None:
    """Make ``fsdp2`` a name that Lightning knows, and ``ddp`` one that bears parameters without a gradient.

    An algorithm without a critic leaves the policy's critic alone; Lightning's own ``ddp`` stops there.
    """
    StrategyRegistry.register("fsdp2", FSDP2, description=FSDP2.__doc__ or "", override=True)
    StrategyRegistry.register(
        "ddp",
        DDPStrategy,
        description="the whole policy in every process, gradients averaged",
        override=True,
        find_unused_parameters=True,
        start_method="popen",
    )


def shard(policy: Any, mesh: DeviceMesh) -> None:
    """Shard a policy in place: each of its ``shard_units`` on its own, and what is left with the policy itself.

    Args:
        policy: its parameters are gathered for ``act`` and ``evaluate``, whatever these call.
        mesh: Lightning's, of which only the data-parallel dimension is used.
    """
    for parameter in policy.parameters():
        # `fully_shard` takes no other layout, such as that of convolutions with their channels last.
        parameter.data = parameter.data.contiguous()
    for unit in [*policy.shard_units(), policy]:
        fully_shard(unit, mesh=mesh[_MESH_DIM])
    for method in _METHODS:
        if hasattr(policy, method):
            register_fsdp_forward_method(policy, method)


@contextmanager
def unsharded(network: Any) -> Iterator[None]:
    """Inside, every process holds all parameters in full.

    Forward passes then need no other process: any number of them, at any time, and nothing is gathered twice. Without
    sharding, this does nothing.
    """
    # Its methods are the class's own inside: one that calls the network, which gathers too, would let go of the
    # parameters when the inner call ends.
    parts = network.modules() if isinstance(network, nn.Module) else ()
    units = [part for part in parts if isinstance(part, FSDPModule)]
    if not units:
        yield
        return
    # Which module is the root is settled by the first forward pass, and here that may be one of a unit.
    network._get_fsdp_state()._lazy_init()
    gathering = {name: vars(network).pop(name) for name in _METHODS if name in vars(network)}
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        vars(network).update(gathering)
        for unit in units:
            unit.reshard()
            # As `fully_shard` sets it: the backward pass begins where the network itself has just ended.
            unit.set_reshard_after_forward(unit is not network, recurse=False)


def full_state(network: nn.Module) -> dict[str, Any]:
    """The network's tensors in full, on the CPU of the first process. All processes must call it."""
    if not isinstance(network, FSDPModule):
        return network.state_dict()
    return get_model_state_dict(network, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
