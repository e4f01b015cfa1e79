"""Runs that end in the middle and go on, to the bit."""

import csv
import itertools

import pytest
import torch
import yaml
from checkpoints import make_openvla
from safetensors.torch import load_file

from feat2go.policies import load_policy

# What depends on the clock.
TIMES = ("rollout/env_steps_per_s", "rollout/reward_share_of_time", "train/samples_per_s")
DECISIONS_PER_ROLLOUT = 3
UPDATES_PER_ROLLOUT = 2
SIZES = {"chunk": 2, "action_dim": 7}


def config(folder, env=None, policy=None, **trainer):
    """A fit with dropout, a schedule, validation at a temperature, and episodes longer than a rollout."""
    tabletop = {"num_envs": 2, "image_size": 32, "num_distractors": 0, "max_episode_steps": 7}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_of_test.yaml"
    settings = {
        "seed_everything": 0,
        "run_dir": str(folder / "run"),
        "trainer": {
            **{"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "enable_model_summary": False},
            **trainer,
        },
        "model": {
            "class_path": "feat2go.training.PolicyModule",
            "init_args": {
                "policy": policy or {"class_path": "tiny_vla", "init_args": {**SIZES, "image_size": 32, "width": 16}},
                "algorithm": {"class_path": "ppo", "init_args": {"kl_coef": 0.1}},
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-2}},
                "lr_scheduler": {
                    "class_path": "torch.optim.lr_scheduler.ExponentialLR",
                    "init_args": {"gamma": 0.9},
                },
                "max_ratio_error": 1.0,
            },
        },
        "data": {
            "class_path": "feat2go.training.RolloutDataModule",
            "init_args": {
                **{"env": env or {"class_path": "tabletop", "init_args": tabletop}, "reward": "sparse"},
                **{"num_steps": DECISIONS_PER_ROLLOUT, "num_minibatches": UPDATES_PER_ROLLOUT},
                **{"num_eval_episodes": 3, "eval_temperature": 1.0},
            },
        },
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def words(path, max_epochs, *more):
    return ["fit", "--config", str(path), f"--trainer.max_epochs={max_epochs}", *more]


def metrics(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def checkpoint(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


def flat(tree, name=""):
    """All leaves of a checkpoint."""
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in flat(value, f"{name}/{key}")]
    if isinstance(tree, (list, tuple)):
        return [leaf for i, value in enumerate(tree) for leaf in flat(value, f"{name}/{i}")]
    return [(name, tree)]


def exported(run_dir):
    """All tensors of the policy that a run left."""
    files = (run_dir / "policy").rglob("*.safetensors")
    return {f"{file.name}/{name}": tensor for file in files for name, tensor in load_file(file).items()}


def assert_same_run(a, b):
    first, second = (exported(run) for run in (a, b))
    assert first
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert metrics(a) == metrics(b)
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "RolloutDataModule", "callbacks", "global_step")
    for part in parts:
        for (name, x), (other, y) in zip(flat(checkpoint(a)[part]), flat(checkpoint(b)[part]), strict=True):
            assert name == other
            same = torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y or str(a) in str(x)
            assert same, f"{part}{name}"


@pytest.fixture(scope="module")
def whole(request, start, tmp_path_factory):
    """Six iterations in one go."""
    folder = tmp_path_factory.mktemp(f"whole{request.param}")
    path = config(folder, devices=request.param, strategy="auto" if request.param == 1 else "ddp")
    start("fit.py", request.param, folder, words=words(path, 6)).succeed()
    return folder / "run", request.param


# In the rollout, the update and the first or second file of the checkpoint of the fourth iteration; and when the
# checkpoint of the third is there and its row of the log is not.
ACCIDENTS = [
    {"where": "rollout", "call": 3 * DECISIONS_PER_ROLLOUT + 2},
    {"where": "update", "call": 3 * UPDATES_PER_ROLLOUT + 2},
    {"where": "checkpoint", "call": 3 * 2 + 1},
    {"where": "checkpoint", "call": 3 * 2 + 2},
    {"where": "saved", "call": 3 * 2},
]


# Of two processes, one accident: the others have nothing to do with their number.
CASES = [*((1, accident) for accident in ACCIDENTS), (2, ACCIDENTS[1])]


def name_of(value):
    return f"{value['where']}{value['call']}" if isinstance(value, dict) else f"processes{value}"


@pytest.mark.parametrize(("whole", "accident"), CASES, indirect=["whole"], ids=name_of, scope="module")
def test_a_killed_run_loses_the_iteration_in_flight_and_goes_on_to_the_bit(whole, start, tmp_path, accident):
    run_dir, num_processes = whole
    path = config(tmp_path, devices=num_processes, strategy="auto" if num_processes == 1 else "ddp")
    job = start("fit.py", num_processes, tmp_path, words=words(path, 6), accident=accident)
    assert job.wait()[0] == -9, job.printed()
    assert checkpoint(tmp_path / "run")["epoch"] == 2, "three iterations are whole"
    start("fit.py", num_processes, tmp_path, words=words(path, 6, "--ckpt_path=last")).succeed()
    assert_same_run(run_dir, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").glob(".*")), "nothing half-written is left"


def test_sharded_runs_go_on_too_and_leave_checkpoints_for_one_process(start, tmp_path):
    """One of a large policy with adapters is killed; one in half precision comes to its end and is prolonged."""
    base = make_openvla(tmp_path / "openvla_oft")
    adapters = {"checkpoint": str(base), **SIZES, "lora_rank": 2, "lora_exclude": ["lm_head"]}
    large = {"policy": {"class_path": "openvla_oft", "init_args": adapters}}

    def job(name, num_half, *more, **settings):
        half, killed = (
            config(tmp_path / name / kind, devices=2, strategy="fsdp2", **different)
            for kind, different in (("half", {"precision": "bf16-true"}), ("adapters", large))
        )
        before = [words(half, num_half, *more)]
        return start("fit.py", 2, tmp_path / name, before=before, words=words(killed, 2, *more), **settings)

    job("whole", 2).succeed()
    # In the second iteration of the second run.
    accident = {"where": "update", "call": 2 * UPDATES_PER_ROLLOUT + 1}
    killed = job("killed", 1, accident=accident)
    assert killed.wait()[0] == -9, killed.printed()
    assert [checkpoint(tmp_path / "killed" / kind / "run")["epoch"] for kind in ("half", "adapters")] == [0, 0]
    job("killed", 2, "--ckpt_path=last").succeed()
    for kind, dtype in (("half", torch.bfloat16), ("adapters", torch.float32)):
        run = tmp_path / "killed" / kind / "run"
        assert_same_run(tmp_path / "whole" / kind / "run", run)
        policy, saved = load_policy(run).state_dict(), load_policy(run / "checkpoints" / "last.ckpt").state_dict()
        assert all(torch.equal(policy[name], saved[name]) for name in saved)
        tensors = [*exported(run).values(), *checkpoint(run)["state_dict"].values()]
        assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {dtype}


def test_a_dead_process_ends_the_others_with_a_message(start, tmp_path):
    path = config(tmp_path, devices=2, strategy="ddp")
    accident = {"where": "rollout", "call": 4, "rank": 1}
    job = start("fit.py", 2, tmp_path, words=words(path, 6), accident=accident)
    assert job.wait() == [1, -9], job.printed()
    assert "another process of this job has ended" in job.outputs[0].read_text()


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(start, tmp_path):
    path = config(tmp_path, devices=2, strategy="ddp")
    # The second file of the second iteration.
    job = start("fit.py", 2, tmp_path, words=words(path, 6), accident={"where": "disk", "call": 4})
    assert job.wait() == [1, 1], job.printed()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    message = f"feat2go: the checkpoint {last} can't be written: No space left on device. It is as it was before"
    assert message in job.outputs[0].read_text()
    assert "another process of this job has ended" in job.outputs[1].read_text()
    assert checkpoint(tmp_path / "run")["epoch"] == 0
    assert not list(last.parent.glob(".*")), "nothing half-written is left"


def test_not_a_number_stops_all_processes_with_the_batch_on_the_disk(start, tmp_path):
    path = config(tmp_path, devices=2, strategy="ddp")
    accident = {"where": "nan", "call": UPDATES_PER_ROLLOUT + 1, "rank": 1}
    job = start("fit.py", 2, tmp_path, words=words(path, 6), accident=accident)
    assert job.wait() == [1, 1], job.printed()
    printed = [output.read_text() for output in job.outputs]
    assert "NaN or infinity in gradients of another process" in printed[0] or "NaN or infinity in" in printed[0]
    assert "NaN or infinity in loss (epoch 1, step 2)" in printed[1]
    assert all(str(tmp_path / "run" / "checkpoints" / "last.ckpt") in text for text in printed)
    for rank in range(2):
        batch = load_file(tmp_path / "run" / "not_finite" / f"epoch1-step2-rank{rank}.safetensors")
        assert {"observation.images.front", "tokens", "advantage"} <= set(batch)


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(start, tmp_path):
    path = config(tmp_path)
    accident = {"where": "interrupt", "call": UPDATES_PER_ROLLOUT + 1}
    job = start("fit.py", 1, tmp_path, words=words(path, 6), accident=accident)
    assert job.wait() == [130], job.printed()
    assert "go on from" in job.printed()
    assert "with `--ckpt_path last`" in job.printed()
    assert checkpoint(tmp_path / "run")["epoch"] == 0


@pytest.mark.parametrize("whole", [2], indirect=True, ids=name_of, scope="module")
def test_resuming_with_another_number_of_processes_plays_no_episode_again(whole, start, tmp_path):
    run_dir, _ = whole
    path = config(tmp_path)
    last = run_dir / "checkpoints" / "last.ckpt"
    start("fit.py", 1, tmp_path, words=words(path, 7, f"--ckpt_path={last}")).succeed()
    before, after = (checkpoint(run)["RolloutDataModule"]["processes"] for run in (run_dir, tmp_path / "run"))
    played = set(itertools.chain.from_iterable([*process["seeds"], *process["next_seeds"]] for process in before))
    (process,) = after
    assert not played & {*process["seeds"], *process["next_seeds"]}
    steps_before = sum(process["num_env_steps"] for process in before)
    assert process["num_env_steps"] > steps_before
