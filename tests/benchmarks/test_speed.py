"""The speed benchmarks run, at a tiny size, and their arithmetic is right."""

import importlib
import json

import pytest

SMALL_FIT = {
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
    "trainer.logger": False,
    "data.init_args.num_steps": 3,
    "data.init_args.num_epochs": 1,
    "data.init_args.num_minibatches": 2,
    "data.init_args.env.init_args.num_envs": 4,
    "data.init_args.env.init_args.max_episode_steps": 2,
    "data.init_args.env.init_args.image_size": 32,
}


def benchmark(name):
    return importlib.import_module(name)


def test_turns_alternate_after_one_that_does_not_count():
    order = []
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    clocks = benchmark("interleaved").in_turns(ways, 2)
    assert order == ["a", "b"] * 3
    assert [len(clock.wall) for clock in clocks.values()] == [2, 2]


def test_a_ratio_is_that_of_neighbouring_turns():
    interleaved = benchmark("interleaved")
    # The machine is ten times slower in the second turn.
    assert interleaved.median_ratio([1.0, 10.0, 1.0], [2.0, 20.0, 4.0]) == 0.5
    bare, ours = interleaved.Clock([1.0, 2.0], [1.0, 1.0]), interleaved.Clock([2.0, 4.0], [1.25, 1.25])
    assert interleaved.relative_speed(ours, bare) == {"ratio": 0.5, "processor_ratio": 0.8}
    with pytest.raises(ValueError, match="as many turns"):
        interleaved.median_ratio([1.0], [1.0, 2.0])


def test_label_speed(tmp_path, monkeypatch):
    label_speed = benchmark("label_speed")
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path / "home"))
    label_speed.collect(tmp_path / "dataset", 2)
    result = label_speed.measure_speed(tmp_path / "dataset", "pixels", tmp_path / "home", repeats=1)
    assert result["speed"].keys() == {label_speed.BARE, *label_speed.VARIANTS}
    assert result["speed"][label_speed.BARE]["ratio"] == 1
    assert result["num_frames"] > 10
    # The last one that ran had a cache, and its own features only.
    assert len(list((tmp_path / "home" / "features").rglob("*.safetensors"))) == 2


def test_the_peak_memory_of_a_command():
    label_speed = benchmark("label_speed")
    assert 2**22 < label_speed.peak_bytes(["list"]) < 2**30
    with pytest.raises(RuntimeError, match="ended with 2"):
        label_speed.peak_bytes(["nothing"])


def test_the_trainer_and_the_loop_of_update_speed_learn_the_same(tmp_path):
    result = benchmark("update_speed").measure("ppo_tabletop.yaml", tmp_path / "run", 2, SMALL_FIT)
    # The same operations, in the same order.
    assert result["difference"] == 0
    assert result["num_samples"] == 12
    assert result["speed"]["loop"]["ratio"] == 1
    assert [len(row["wall_s"]) for row in result["speed"].values()] == [2, 2, 2]


def test_value_share(tmp_path):
    value_share = benchmark("value_share")
    encoder = {"class_path": "pixels", "init_args": {"image_size": 16}}
    value_share.save_value_model(tmp_path / "value", {**value_share.value_settings("tabletop"), "encoder": encoder})
    row = value_share.measure("tabletop", tmp_path / "run", tmp_path / "value", 2, SMALL_FIT)
    assert 0 < row["share"] < 1
    assert [(i["num_episodes"], i["num_env_steps"]) for i in row["iterations"]] == [(8, 12), (4, 12)]
    # 100 steps at 10 per second, and the reward three quarters of the time of both.
    metrics = {"env_steps_per_s": 10.0, "reward_share_of_time": 0.75}
    assert value_share.reward_seconds(metrics, 100) == pytest.approx(30)


def test_an_exponent_is_the_slope_in_logarithms():
    scaling = benchmark("scaling")
    sizes = (1, 2, 8)
    assert scaling.exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="above 0"):
        scaling.exponent(sizes, (1, 0, 1))
    costs = {1: scaling.Cost(1.0, 2.0**20), 4: scaling.Cost(2.0, 2.0**24)}
    row = scaling.measure_axis((1, 4), costs.get, repeats=2)
    assert (row["time_exponent"], row["memory_exponent"]) == (0.5, 2.0)
    assert row["mib"] == [1.0, 16.0]


def test_each_point_of_scaling_costs_something(tmp_path):
    scaling = benchmark("scaling")
    benchmark("label_speed").collect(tmp_path / "dataset", 2)
    for work in (lambda: scaling.label(tmp_path / "dataset", 2), lambda: scaling.iteration(2, 3, 32)):
        cost = scaling.cost_of(work, warm_up=lambda: None)
        assert cost.seconds > 0
        assert cost.bytes >= 2**20


def test_each_result_is_of_its_benchmark(benchmarks):
    for name in ("label_speed", "update_speed", "value_share", "scaling"):
        result = json.loads((benchmarks / "results" / f"{name}.json").read_text())
        assert result["command"].startswith(f"python benchmarks/{name}.py")
