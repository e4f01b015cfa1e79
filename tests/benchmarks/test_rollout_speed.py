import importlib


def test_all_three_ways_take_their_turns():
    benchmark = importlib.import_module("rollout_speed")
    row = benchmark.measure("tabletop", {"num_envs": 4}, num_steps=3, repeats=2)
    assert row["num_envs"] == 4
    assert list(row["steps_per_s"]) == ["bare", "collector", "double_buffered"]
    assert all(len(turns["wall_s"]) == 2 for turns in row["turns"].values())
    assert 0 < row["policy_share_of_bare"] < 1
    assert 1 < row["bound_of_overlap"] <= 2


def test_halves_have_as_many_rows_and_workers_together():
    benchmark = importlib.import_module("rollout_speed")
    assert (
        benchmark.halves({"num_envs": 16, "num_workers": 2, "image_size": 64})
        == [{"num_envs": 8, "num_workers": 1, "image_size": 64}] * 2
    )
    assert benchmark.halves({"num_envs": 4}) == [{"num_envs": 2, "num_workers": 1}] * 2


def test_the_bare_loop_plays_the_collectors_episodes():
    import torch

    from feat2go.core.seeding import generator, rollout_seeds
    from feat2go.envs.tabletop import Tabletop
    from feat2go.policies import TinyVLA
    from feat2go.rollouts.collector import Collector

    benchmark = importlib.import_module("rollout_speed")
    policy = TinyVLA(state_dim=6, image_size=32, width=16).eval()
    settings = {"num_envs": 2, "image_size": 32, "max_episode_steps": 2, "num_distractors": 0}
    bare = benchmark.BareLoop(Tabletop(**settings), 3)
    collector = Collector(Tabletop(**settings), 3, rollout_seeds(0, 0, 1))
    with torch.no_grad():
        assert bare.collect(policy, generator(0)) == 6
        rollout = collector.collect(policy, 1.0, generator(0))
    assert rollout.last_observation is not None
    assert torch.equal(bare._observation.images["front"], rollout.last_observation.images["front"])
