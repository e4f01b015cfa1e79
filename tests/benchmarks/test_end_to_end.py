import importlib

import pytest
import torch

pytest.importorskip("stable_baselines3")
pytest.importorskip("torchrl")


@pytest.fixture(scope="module")
def work(benchmarks):
    return importlib.import_module("end_to_end").workload(num_envs=4, num_steps=4)


def test_all_libraries_run_with_this_process(work):
    benchmark = importlib.import_module("end_to_end")
    names = ("feat2go", "feat2go_double_buffered", *benchmark.PEERS, *benchmark.IN_WORKERS)
    assert set(names) | {"feat2go_two_processes"} == {*benchmark.OURS, *benchmark.PEERS, *benchmark.IN_WORKERS}
    rates = benchmark.measure(work, names, rounds=1, num_iterations=1)
    assert list(rates) == list(names)
    assert all(rate > 0 for (rate,) in rates.values())
    assert benchmark.ratio(rates, "feat2go") == rates["feat2go"][0] / max(rates[peer][0] for peer in benchmark.PEERS)


@pytest.mark.parametrize("name", ["stable_baselines3", "torchrl"])
def test_actor_and_critic_of_a_peer_learn(work, name, monkeypatch):
    peers = importlib.import_module("peers")
    step = peers.TokenTabletop.step

    def rewarded(self, tokens):
        reward, *rest = step(self, tokens)
        return reward + 1, *rest

    # An untrained policy has no success, and a critic of zeros is right about that.
    monkeypatch.setattr(peers.TokenTabletop, "step", rewarded)
    library = importlib.import_module("end_to_end").PEERS[name](work)
    network = library.model.policy.network if name == "stable_baselines3" else library._network.module.network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    library.run(1)
    library.close()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert {"critic.weight", "actor.weight", "vision.0.weight", "trunk.0.weight"} <= changed
