"""Beyond the contract: what only ManiSkill does. One environment in worker processes serves all tests that render."""

import logging

import numpy as np
import pytest
import torch

from feat2go.envs.maniskill import ManiSkill, RequirementError
from feat2go.envs.maniskill import env as module
from feat2go.envs.maniskill.config import SimulationInfo
from feat2go.envs.maniskill.tasks import TASKS, task_named

OPEN, CLOSED = 1.0, -1.0


@pytest.fixture(scope="module")
def env():
    env = ManiSkill("PushCube-v1", num_envs=3, num_workers=2, max_episode_steps=40)
    yield env
    env.close()


def act(env, *action, repeat=1):
    """The state (N, S) after the same action everywhere, repeated."""
    actions = torch.tensor(action, dtype=torch.float32).expand(env.num_envs, repeat, 7)
    return env.step(actions).observation.state


@pytest.mark.vulkan
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_translations_move_the_gripper_along_the_axes_of_the_world(env, axis, sign):
    start = env.reset([1, 2, 3]).state
    action = [0.0] * 6 + [CLOSED]
    action[axis] = 0.5 * sign
    moved = act(env, *action, repeat=5)[:, :3] - start[:, :3]
    assert (moved[:, axis] * sign > 0.05).all()
    others = [i for i in range(3) if i != axis]
    assert (moved[:, others].abs() < 0.03).all()


@pytest.mark.vulkan
@pytest.mark.parametrize("sign", [1, -1])
def test_rotations_are_right_handed(env, sign):
    start = env.reset([1, 2, 3]).state
    # Seen from above, counter-clockwise is positive: the yaw in the state is the direction of the gripper's x axis.
    turned = act(env, 0, 0, 0, 0, 0, sign, CLOSED, repeat=5)[:, 3] - start[:, 3]
    assert (turned * sign > 0.15).all()


@pytest.mark.vulkan
def test_the_gripper_closes_at_minus_one_and_opens_at_plus_one(env):
    env.reset([1, 2, 3])
    assert (act(env, 0, 0, 0, 0, 0, 0, CLOSED, repeat=8)[:, 4] < 0.005).all()
    assert (act(env, 0, 0, 0, 0, 0, 0, OPEN, repeat=8)[:, 4] > 0.075).all()


@pytest.mark.vulkan
def test_an_episode_repeats_to_the_bit_whatever_came_before_it_and_in_whichever_process(env):
    """Random actions seldom touch anything. What a contact does depends on more than poses and velocities."""

    def follow_expert(row, seeds):
        env.reset(seeds)
        trace = []
        for _ in range(25):
            actions = env.expert_actions()
            step = env.step(actions[:, None])
            seen = step.observation.select(torch.tensor([row]))
            trace.append((actions[row], seen.images["base"], seen.state, step.success[row], step.milestone[row]))
        return trace

    first = follow_expert(0, [7, 8, 9])
    for row, seeds in ((0, [7, 1, 2]), (2, [3, 4, 7])):
        for expected, found in zip(first, follow_expert(row, seeds), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.vulkan
def test_seeds_reach_beyond_the_evaluation_split(env):
    seeds = [0, 2_999_999_999, 2**32 - 1]
    images = env.reset(seeds).images["base"]
    assert torch.equal(env.reset(seeds).images["base"], images)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match="seeds must be in"):
            env.reset([0, 1, seed])


@pytest.mark.vulkan
def test_the_cube_is_seen_well(env):
    images = env.reset([1, 2, 3]).images["base"].int()
    blue = images[..., 2] > images[..., 0] + 40
    assert (blue.sum(dim=(1, 2)) > 15).all()


class FakeSimulation:
    """In place of processes: shows nothing, answers nothing."""

    info = SimulationInfo(action_dim=8, state_dim=5, fps=20.0, max_episode_steps=50)

    def __init__(self, config, num_envs, num_workers, on_gpu):
        self.config, self.num_envs, self.num_workers, self.on_gpu = config, num_envs, num_workers, on_gpu

    def close(self):
        pass


@pytest.fixture
def without_processes(monkeypatch):
    monkeypatch.setattr(module, "_start", FakeSimulation)
    monkeypatch.setattr(module, "require_installed", lambda: None)


def built(**arguments):
    return ManiSkill(**{"task": "PushCube-v1", **arguments})._simulation


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"num_envs": 2, "num_workers": 3}, "num_workers"),
        ({"control": "velocity"}, "control"),
        ({"expert_noise": -0.1}, "expert_noise"),
        ({"expert_tempo": 0.0}, "expert_tempo"),
        ({"expert_tempo": 1.5}, "expert_tempo"),
        ({"image_size": 4}, "image_size"),
        ({"max_episode_steps": 0}, "max_episode_steps"),
        ({"camera_position": (1.0, 0.0, 1.0)}, "camera_target"),
    ],
)
def test_bad_arguments_are_refused_by_name(without_processes, arguments, message):
    with pytest.raises(ValueError, match=message):
        built(**arguments)


def test_the_view_is_the_one_asked_for_then_the_tasks_own_then_the_stock_one(without_processes):
    own = TASKS["PushCube-v1"].camera
    assert built().config.view == (own.position, own.target)
    assert built().config.fov == own.fov
    assert built(camera_fov=0.5).config.fov == 0.5
    moved = built(camera_position=(1.0, 0.0, 1.0), camera_target=(0.0, 0.0, 0.0), camera_fov=0.9).config
    assert (moved.view, moved.fov) == (((1.0, 0.0, 1.0), (0.0, 0.0, 0.0)), 0.9)
    stock = built(task="RollBall-v1").config
    assert (stock.view, stock.fov) == (None, None)


@pytest.mark.parametrize(
    ("has_gpu", "num_workers", "on_gpu"), [(False, None, False), (True, None, True), (True, 2, False)]
)
def test_a_gpu_is_used_unless_workers_are_asked_for(without_processes, monkeypatch, has_gpu, num_workers, on_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    simulation = built(num_workers=num_workers)
    assert simulation.on_gpu == on_gpu
    assert simulation.config.light_assets == (not has_gpu)


@pytest.mark.parametrize("light_assets", [None, True, False])
def test_the_log_says_which_assets_are_rendered(without_processes, monkeypatch, caplog, light_assets):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.WARNING):
        built(light_assets=light_assets)
    (line,) = caplog.messages
    assert ("light" in line) == (light_assets is not False)


def test_what_has_no_expert_says_so(without_processes):
    with pytest.raises(NotImplementedError, match="'RollBall-v1' has no expert.*PushCube-v1"):
        ManiSkill("RollBall-v1").expert_actions()
    with pytest.raises(NotImplementedError, match="control='ee'"):
        ManiSkill("PushCube-v1", control="joint").expert_actions()


def test_it_must_be_reset_first(without_processes):
    env = ManiSkill("PushCube-v1", num_envs=1)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((1, 1, 8), np.float32))
    with pytest.raises(RuntimeError, match="reset"):
        env.expert_actions()


@pytest.mark.vulkan
def test_without_vulkan_one_sentence_names_the_command(monkeypatch):
    monkeypatch.setenv("VK_ICD_FILENAMES", "/nonexistent.json")
    with pytest.raises(RequirementError, match=r"no Vulkan device.*bash requirements/system.sh$") as caught:
        ManiSkill("PushCube-v1", num_envs=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if task.sentence is None])
def test_every_template_of_a_task_occurs_and_follows_from_the_seed(task):
    known = task_named(task)
    drawn = [known.instruction(seed) for seed in range(100)]
    assert set(drawn) == set(known.instructions)
    assert drawn == [known.instruction(seed) for seed in range(100)]
    assert known.milestone_names[-1] == "success"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("TurnFaucet-v1", "turn faucet"),
        ("MS-AntRun-v1", "ms ant run"),
        ("FMBAssembly1Easy-v1", "fmb assembly 1 easy"),
    ],
)
def test_an_unknown_task_is_described_by_its_id(task, words):
    unknown = task_named(task)
    assert unknown.instruction(3) == words
    assert unknown.milestone_names == ("success",)
    assert unknown.camera is None
