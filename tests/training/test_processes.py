"""What a process does when another one of its job has gone."""

import os
import queue

import pytest
import torch.distributed as dist

from feat2go.training import processes
from feat2go.training.processes import naming_lost_processes, watch_parent


@pytest.fixture
def exits(monkeypatch):
    """The codes with which this process would have ended, while its parent is there twice and then is another one."""
    codes = queue.Queue()
    parents = iter([7, 7, 7])
    monkeypatch.setattr(processes, "_INTERVAL_S", 0.0)
    monkeypatch.setattr(os, "getppid", lambda: next(parents, 1))
    monkeypatch.setattr(os, "_exit", codes.put)
    return codes


def test_a_process_ends_when_the_first_one_of_its_machine_has_gone(exits, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    watch_parent()
    assert exits.get(timeout=60) == 1


def test_the_first_one_watches_nobody(exits, monkeypatch):
    monkeypatch.setattr(processes.threading, "Thread", None)
    for rank in ("0", None):
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        if rank:
            monkeypatch.setenv("LOCAL_RANK", rank)
        watch_parent()
    assert exits.empty()


@pytest.mark.parametrize("error", [dist.DistBackendError("closed"), RuntimeError("[gloo/pair.cc] Connection closed")])
def test_an_exchange_that_fails_is_put_into_a_sentence(error):
    with (
        pytest.raises(ConnectionError, match="another process of this job has ended.*--ckpt_path last"),
        naming_lost_processes(),
    ):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes differ"), naming_lost_processes():
        raise RuntimeError("shapes differ")
