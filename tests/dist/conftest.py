"""Jobs of several processes, as torchrun would start them, but without importing everything again in each."""

import multiprocessing
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

import pytest

JOBS = Path(__file__).parent / "jobs"
# Imported once, for all processes of all jobs.
USED = (
    *("feat2go.cli.training", "feat2go.policies.tiny_vla", "feat2go.envs.tabletop.env", "torch.utils.tensorboard"),
    *("feat2go.policies.openvla.oft", "peft.tuners.lora"),
)
TIMEOUT_S = 240


def _run(path, settings, output, environment):
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import torch

    torch.set_num_threads(1)
    # A shell has what it runs in the background ignore Ctrl-C, and the tests may be that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["feat2go"]
    runpy.run_path(path, init_globals={"SETTINGS": settings})


def _free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


class Job:
    """The processes of one job."""

    def __init__(self, context, name, world_size, folder, **settings):
        folder.mkdir(parents=True, exist_ok=True)
        job = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "localhost", "MASTER_PORT": str(_free_port())}
        job |= {"TORCHELASTIC_RUN_ID": "test", "LOCAL_WORLD_SIZE": str(world_size), "GROUP_RANK": "0"}
        self.outputs = [folder / f"rank{rank}.txt" for rank in range(world_size)]
        self.processes = []
        for rank, output in enumerate(self.outputs):
            # A single process is none of torchrun's.
            mine = {**job, "RANK": str(rank), "LOCAL_RANK": str(rank)} if world_size > 1 else {}
            arguments = (str(JOBS / name), {"folder": str(folder), **settings}, str(output), mine)
            self.processes.append(context.Process(target=_run, args=arguments))
            self.processes[-1].start()

    def wait(self, timeout_s=TIMEOUT_S):
        """The exit codes; minus the signal of a process that was killed, None of one that still runs."""
        for process in self.processes:
            process.join(timeout_s)
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
        return codes

    def printed(self):
        return "\n".join(f"-- {output.name}\n{output.read_text()}" for output in self.outputs)

    def succeed(self):
        assert self.wait() == [0] * len(self.processes), self.printed()


@pytest.fixture(scope="session")
def start():
    """A function that starts a job: its file in ``jobs/``, the number of processes, its folder and its settings."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*USED])

    def start(name, world_size, folder, **settings):
        return Job(context, name, world_size, folder, **settings)

    return start
