"""``feat2go fit``, once or several times, with an accident on the way if the settings name one.

An accident is ``{"where": ..., "rank": ..., "call": n}``: the process is killed, its disk is full, or what it computes
is spoilt, the n-th time that it gets there.
"""

import errno
import io
import os
import signal
import sys

import torch

from feat2go.algorithms.ppo import PPO
from feat2go.cli.main import main
from feat2go.rollouts.turns import Turn
from feat2go.training.checkpoints import AtomicCheckpointIO
from feat2go.training.policy_module import PolicyModule


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def after(cls, name, action, call):
    """Do something after the n-th call of a method."""
    original = getattr(cls, name)
    calls = []

    def watched(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        calls.append(name)
        return action(result) if len(calls) == call else result

    setattr(cls, name, watched)


def after_half_a_file(action, call):
    """Do something when half of the n-th checkpoint is written."""
    save, calls = torch.save, []

    def half(content, file, **settings):
        # Tensors on their way to another process are saved too, but not to a file.
        if isinstance(file, io.BytesIO):
            return save(content, file, **settings)
        calls.append(file)
        if len(calls) < call:
            return save(content, file)
        whole = io.BytesIO()
        save(content, whole)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        return action()

    torch.save = half


def fill_the_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def poison(result):
    loss, metrics = result
    return loss * float("nan"), metrics


def interrupt(result):
    os.kill(os.getpid(), signal.SIGINT)
    return result


ACCIDENTS = {
    "rollout": lambda call: after(Turn, "end_step", lambda _: kill(), call),
    "update": lambda call: after(PolicyModule, "training_step", lambda _: kill(), call),
    "checkpoint": lambda call: after_half_a_file(kill, call),
    "saved": lambda call: after(AtomicCheckpointIO, "save_checkpoint", lambda _: kill(), call),
    "disk": lambda call: after_half_a_file(fill_the_disk, call),
    "nan": lambda call: after(PPO, "loss", poison, call),
    "interrupt": lambda call: after(PPO, "loss", interrupt, call),
}

settings = SETTINGS  # noqa: F821
accident = settings.get("accident")
if accident and accident.get("rank", 0) == int(os.environ.get("RANK", "0")):
    ACCIDENTS[accident["where"]](accident["call"])
for words in (*settings.get("before", []), settings["words"]):
    sys.argv = ["feat2go", *words]
    main(words)
