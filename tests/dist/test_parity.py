"""One process, two with DDP, two with FSDP2: the same global batches give the same parameters."""

import itertools

import pytest
import torch
from checkpoints import make_openvla


@pytest.fixture(scope="module")
def folders(start, tmp_path_factory):
    """All fits, in two jobs that run beside each other."""
    checkpoint = str(make_openvla(tmp_path_factory.mktemp("openvla_oft")))
    folders = {size: tmp_path_factory.mktemp(f"of_{size}") for size in (1, 2)}
    jobs = [start("parity.py", size, folder, openvla_oft=checkpoint) for size, folder in folders.items()]
    for job in jobs:
        job.succeed()
    return folders


@pytest.mark.parametrize(
    ("algorithm", "policy", "strategy"),
    itertools.product(("ppo", "grpo"), ("tiny_vla", "openvla_oft"), ("ddp", "fsdp2")),
)
def test_the_number_of_processes_changes_no_parameter(folders, algorithm, policy, strategy):
    alone = torch.load(folders[1] / f"{algorithm}-{policy}-auto.pt")
    together = torch.load(folders[2] / f"{algorithm}-{policy}-{strategy}.pt")
    assert alone["end"].keys() == together["end"].keys()
    for name, expected in alone["end"].items():
        torch.testing.assert_close(
            together["end"][name], expected, rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    # They did learn: a hundred times more than the tolerance.
    assert max(float(moved.abs().max()) for moved in alone["moved"].values()) > 1e-3
