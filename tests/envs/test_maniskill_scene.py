"""ManiSkill in the tests' own process, without pictures: experts, controls, what is said when something is missing."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch

from feat2go.envs.maniskill import RequirementError
from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.experts import EXPERTS, TWO_ARMS, expert_for
from feat2go.envs.maniskill.light import light_urdf
from feat2go.registry.registry import UnknownNameError

pytestmark = pytest.mark.vulkan


@pytest.fixture(scope="module", autouse=True)
def light_robots(tmp_path_factory):
    """Robots that load in a fraction of the time; for this module only."""
    from mani_skill.agents.robots.panda.panda import Panda
    from mani_skill.agents.robots.panda.panda_wristcam import PandaWristCam

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEAT2GO_HOME", str(tmp_path_factory.mktemp("home")))
        for robot in (Panda, PandaWristCam):
            patch.setattr(robot, "urdf_path", str(light_urdf(Path(robot.urdf_path))))
        yield


def config_for(task, control="ee", noise=0.0, tempo=1.0, detours=0, turns=True):
    return SimulationConfig(task, 16, control, None, None, False, None, noise, tempo, detours, turns)


def build(task, control="ee"):
    from feat2go.envs.maniskill.scene import Scene

    return Scene(config_for(task, control))


def play(scene, task, seed, limit=250, **knobs):
    """Whether the expert succeeds, what it did, and the milestones on the way."""
    expert = expert_for(config_for(task, **knobs), scene.env, 0)
    scene.reset(0, seed)
    expert.reset(seed)
    actions, milestones = [], []
    while not scene.success[0] and len(actions) < limit:
        actions.append(expert.action(len(actions)))
        assert expert.action(len(actions) - 1) is actions[-1]
        scene.step(actions[-1][None])
        milestones.append(int(scene.milestone[0]))
    return bool(scene.success[0]), np.stack(actions), milestones


@pytest.mark.parametrize("task", EXPERTS)
def test_the_expert_succeeds_plainly_and_also_slowly_with_noise_and_detours(task):
    scene = build(task)
    succeeds, plain, milestones = play(scene, task, 100)
    assert succeeds
    assert set(milestones) >= {1, 2}
    # Two arms would be in each other's way on a detour.
    knobs = {"noise": 0.1, "tempo": 0.4, "detours": 0 if task in TWO_ARMS else 3}
    succeeds, varied, _ = play(scene, task, 100, **knobs)
    assert succeeds
    assert len(varied) > len(plain)
    # Everything that is drawn follows from the seed.
    assert np.array_equal(play(scene, task, 100, limit=20, **knobs)[1], varied[:20])
    scene.close()


def test_an_expert_that_does_not_turn_picks_up_what_lies_askew():
    scene = build("StackCube-v1")
    for turns in (True, False):
        succeeds, actions, _ = play(scene, "StackCube-v1", 100, turns=turns)
        assert succeeds
        assert (np.abs(actions[:, 5]).max() > 0.9) == turns
    scene.close()


@pytest.mark.parametrize("task", TWO_ARMS)
def test_two_arms_take_no_detours(task):
    with pytest.raises(ValueError, match="one arm"):
        expert_for(config_for(task, detours=1), None, 0)


def test_two_arms_are_seen_by_three_cameras():
    scene = build("TwoRobotStackCube-v1")
    assert scene.info.cameras == ("base", "left_hand", "right_hand")
    scene.reset(0, 0)
    images = scene.images()
    assert images.shape == (1, 3, 16, 16, 3)
    assert images.dtype == np.uint8
    assert all(not np.array_equal(images[0, a], images[0, b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    # The hand camera moves with its arm, and with no other.
    actions = np.zeros((1, 14), np.float32)
    actions[0, 2] = 1.0
    scene.step(actions)
    moved = np.abs(scene.images().astype(int) - images).mean(axis=(0, 2, 3, 4))
    assert moved[1] > 4 * moved[2]
    scene.close()


def test_our_end_effector_control_does_what_the_stock_one_does():
    fast, stock = build("PushCube-v1"), build("PushCube-v1")
    arm = stock.env.agent.controller.controllers["arm"]
    # The replacement is an attribute of the object; without it, the method of its class is found again.
    del arm.set_action
    random = np.random.default_rng(0)
    for scene in (fast, stock):
        scene.reset(0, 0)
    for _ in range(12):
        action = random.uniform(-1, 1, (1, 7)).astype(np.float32)
        action[0, 2] = 0.2
        for scene in (fast, stock):
            scene.step(action)
        # float32 in the stock controller, float64 in ours.
        np.testing.assert_allclose(fast.states(), stock.states(), atol=1e-5)
    fast.close()
    stock.close()


def test_joint_targets_are_those_of_the_stock_controller():
    fast, stock = build("PushCube-v1", control="joint"), build("PushCube-v1", control="joint")
    for part in stock.env.agent.controller.controllers.values():
        # Without the replacement, the method of its class is found again.
        del part.set_drive_targets
    random = np.random.default_rng(0)
    for scene in (fast, stock):
        scene.reset(0, 0)
    for _ in range(5):
        action = random.uniform(-1, 1, (1, 8)).astype(np.float32)
        for scene in (fast, stock):
            scene.step(action)
        qpos, expected = (scene.env.agent.robot.get_qpos() for scene in (fast, stock))
        assert (qpos == expected).all()
    fast.close()
    stock.close()


def test_joint_actions_turn_joints():
    scene = build("PushCube-v1", control="joint")
    assert scene.info.action_dim == 8
    scene.reset(0, 0)
    before = scene.env.agent.robot.get_qpos()[0]
    for _ in range(3):
        scene.step(np.array([[0, 0, 0, 0, 0, 0, 1, 1]], np.float32))
    turned = scene.env.agent.robot.get_qpos()[0] - before
    assert turned[6] > 0.1
    assert turned[:6].abs().max() < 0.02
    scene.close()


def test_a_hidden_goal_is_part_of_the_state():
    scene = build("PickCube-v1")
    assert scene.info.state_dim == 5 + 3
    scene.reset(0, 5)
    goal = scene.env.goal_site.pose.p.numpy()
    np.testing.assert_array_equal(scene.states()[:, 5:], goal)
    assert scene.env.goal_site.hidden
    scene.close()


def test_a_task_that_builds_a_new_scene_for_each_episode_keeps_its_control_and_state():
    scene = build("PegInsertionSide-v1")
    first = scene.env.agent
    for seed in (1, 2):
        scene.reset(0, seed)
        assert scene.env.agent is not first
        before = scene.states()
        for _ in range(3):
            scene.step(np.array([[0, 0, 0.5, 0, 0, 1, 1]], np.float32))
        moved = (scene.states() - before)[0]
        np.testing.assert_array_equal(scene.states()[0, :3], scene.env.agent.tcp.pose.p[0].numpy())
        assert moved[2] > 0.03
        assert moved[3] > 0.1
    scene.close()


def test_several_arms_take_their_actions_one_after_the_other():
    scene = build("TwoRobotPickCube-v1")
    assert scene.info.action_dim == 14
    assert scene.info.state_dim == 2 * 5 + 3
    scene.reset(0, 0)
    start = scene.states()[0]
    actions = np.zeros((1, 14), np.float32)
    actions[0, 7 + 2] = 0.5
    for _ in range(3):
        scene.step(actions)
    moved = scene.states()[0] - start
    assert abs(moved[2]) < 0.01
    assert moved[5 + 2] > 0.03
    scene.close()


@pytest.fixture
def no_terminal(monkeypatch):
    """Reading from the terminal is an error."""
    monkeypatch.setattr(sys, "stdin", None)


def test_an_unknown_task_is_answered_with_the_closest_one():
    with pytest.raises(UnknownNameError, match=r"'PushCub-v1'\. Did you mean 'PushCube-v1'\?"):
        build("PushCub-v1")


@pytest.mark.parametrize(
    ("task", "asset"),
    [
        ("PickSingleYCB-v1", "PickSingleYCB-v1"),
        ("AnymalC-Reach-v1", "anymal_c"),
        ("ReplicaCAD_SceneManipulation-v1", "ReplicaCAD"),
    ],
)
def test_missing_assets_are_named_with_their_command_and_nobody_is_asked(no_terminal, task, asset):
    command = f"python -m mani_skill.utils.download_asset {asset}$"
    with pytest.raises(RequirementError, match=command):
        build(task)


def test_a_robot_without_an_end_effector_says_what_it_offers():
    with pytest.raises(ValueError, match=r"'MS-CartpoleBalance-v1'.*control='joint'$"):
        build("MS-CartpoleBalance-v1")


def test_light_robots_look_like_their_collision_shapes(tmp_path, monkeypatch):
    from mani_skill import PACKAGE_ASSET_DIR

    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path))
    source = Path(PACKAGE_ASSET_DIR) / "robots/panda/panda_v3.urdf"
    light = light_urdf(source)
    assert light.is_relative_to(tmp_path)
    assert light_urdf(source) == light
    original, lightened = ET.parse(source).getroot(), ET.parse(light).getroot()
    drawn = [mesh.attrib["filename"] for mesh in lightened.iterfind("link/visual/geometry/mesh")]
    assert drawn
    assert all("/collision/" in name and Path(name).exists() for name in drawn)
    assert len(lightened.findall("link/visual")) == len(original.findall("link/visual"))
    camera = lightened.find("link[@name='camera_link']")
    assert camera.find("visual/geometry/box").attrib == camera.find("collision/geometry/box").attrib
    for name in ("collision", "inertial"):
        for before, after in zip(original.iterfind(f"link/{name}"), lightened.iterfind(f"link/{name}"), strict=True):
            for mesh in before.iter("mesh"):
                mesh.set("filename", str(source.parent / mesh.attrib["filename"]))
            assert ET.tostring(before) == ET.tostring(after)


def test_torch_keeps_its_random_state():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    scene = build("PushCube-v1")
    scene.reset(0, 3)
    scene.close()
    assert torch.equal(torch.rand(1), expected)
