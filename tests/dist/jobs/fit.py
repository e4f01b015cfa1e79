"""``feat2go fit``, with an accident on the way if the settings name one.

An accident is ``{"where": ..., "rank": ..., "call": n}``: the process is killed, or what it computes is spoilt, the
n-th time that it gets there.
"""

import io
import os
import signal
import sys

import torch

from feat2go.algorithms.ppo import PPO
from feat2go.cli.main import main
from feat2go.rollouts.collector import Collector
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


def kill_in_a_half_written_file(call):
    save, calls = torch.save, []

    def half(content, file):
        calls.append(file)
        if len(calls) < call:
            return save(content, file)
        whole = io.BytesIO()
        save(content, whole)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        return kill()

    torch.save = half


def poison(result):
    loss, metrics = result
    return loss * float("nan"), metrics


def interrupt(result):
    os.kill(os.getpid(), signal.SIGINT)
    return result


ACCIDENTS = {
    "rollout": lambda call: after(Collector, "_follow", lambda _: kill(), call),
    "update": lambda call: after(PolicyModule, "training_step", lambda _: kill(), call),
    "checkpoint": kill_in_a_half_written_file,
    "nan": lambda call: after(PPO, "loss", poison, call),
    "interrupt": lambda call: after(PPO, "loss", interrupt, call),
}

settings = SETTINGS  # noqa: F821
accident = settings.get("accident")
if accident and accident.get("rank", 0) == int(os.environ.get("RANK", "0")):
    ACCIDENTS[accident["where"]](accident["call"])
sys.argv = ["feat2go", *settings["words"]]
main(settings["words"])
