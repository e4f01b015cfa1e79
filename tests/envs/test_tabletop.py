import itertools

import numpy as np
import pytest
import torch

from feat2go.envs.tabletop import Tabletop
from feat2go.envs.tabletop.kinds import COLOURS, OBJECTS, RECEPTACLES
from feat2go.envs.tabletop.language import TEMPLATES
from feat2go.envs.tabletop.scene import SceneSampler

SMALL = {"image_size": 32}
EASY = {"objects": ["cube"], "receptacles": ["plate"], "num_distractors": 0, "num_receptacles": 1, "workspace": 0.4}
CROWDED = {"num_distractors": 3, "num_receptacles": 3}


def expert_success(num_episodes, **kwargs):
    env = Tabletop(num_envs=num_episodes, **SMALL, **kwargs)
    env.reset(range(num_episodes))
    success = torch.zeros(num_episodes, dtype=torch.bool)
    for _ in range(env.max_episode_steps):
        success |= env.step(env.expert_actions()[:, None]).success[:, 0]
    return success.float().mean().item()


@pytest.mark.parametrize("setting", [{}, EASY, CROWDED], ids=["default", "easy", "crowded"])
def test_the_expert_succeeds(setting):
    assert expert_success(200, **setting) > 0.95


def test_the_noise_knob_makes_the_expert_worse():
    rates = [expert_success(100, expert_noise=noise) for noise in (0.2, 0.4, 0.6)]
    assert rates[0] > 0.9
    assert rates[0] > rates[1] > rates[2]
    assert rates[2] < 0.2


@pytest.mark.parametrize("setting", [{}, EASY], ids=["default", "easy"])
def test_a_random_policy_fails(setting):
    env = Tabletop(num_envs=1000, **SMALL, **setting)
    env.reset(range(1000))
    actions = 2 * torch.rand(1000, env.max_episode_steps, 7, generator=torch.Generator().manual_seed(0)) - 1
    assert env.step(actions).success.any(dim=1).float().mean() < 0.02


def test_the_expert_passes_every_milestone_in_turn():
    env = Tabletop(num_envs=8, **SMALL)
    env.reset(range(8))
    milestone = torch.cat([env.step(env.expert_actions()[:, None]).milestone for _ in range(30)], dim=1)
    for row in milestone.tolist():
        assert sorted(set(row)) in ([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


def test_an_episode_does_not_depend_on_the_number_of_environments():
    actions = 2 * torch.rand(7, 12, 7, generator=torch.Generator().manual_seed(0)) - 1
    many = Tabletop(num_envs=7, **SMALL, **CROWDED)
    many.reset(range(7))
    expected = many.step(actions).observation
    for i in range(7):
        alone = Tabletop(num_envs=1, **SMALL, **CROWDED)
        alone.reset([i])
        got = alone.step(actions[i : i + 1]).observation
        assert torch.equal(got.images["front"][0], expected.images["front"][i])
        assert torch.equal(got.state[0], expected.state[i])
        assert got.instruction == [expected.instruction[i]]


def test_a_reset_in_place_draws_the_same_picture_as_a_reset_of_all():
    env = Tabletop(num_envs=4, max_episode_steps=1, **SMALL)
    env.reset(range(4))
    restarted = env.step(torch.zeros(4, 1, 7), next_seeds=[10, 11, 12, 13]).observation
    assert torch.equal(restarted.images["front"], env.reset([10, 11, 12, 13]).images["front"])


def test_expert_noise_depends_on_seed_and_time_only():
    env = Tabletop(num_envs=2, expert_noise=0.3, **SMALL)
    env.reset([5, 6])
    first = env.expert_actions()
    assert torch.equal(env.expert_actions(), first)
    env.step(torch.zeros(2, 1, 7))
    assert not torch.equal(env.expert_actions()[:, 3], first[:, 3])
    env.reset([6, 5])
    assert torch.equal(env.expert_actions(), first.flip(0))


def test_the_state_is_the_grippers_and_in_range():
    env = Tabletop(num_envs=32, **SMALL)
    state = env.reset(range(32)).state
    assert state.shape == (32, env.state_dim)
    corner = torch.tensor([1.0, 1.0, 1.0, 0, 0, 0, -1.0]).expand(32, 20, 7)
    state = env.step(corner).observation.state
    torch.testing.assert_close(state[:, :3], torch.ones(32, 3))
    torch.testing.assert_close(state[:, 5], torch.zeros(32))
    opened = env.step(-corner[:, :10]).observation.state
    torch.testing.assert_close(opened[:, 5], torch.ones(32))
    assert (opened.abs() <= 1).all()


def test_roll_and_pitch_do_nothing_and_zero_keeps_still():
    env = Tabletop(num_envs=4, **SMALL)
    first = env.reset(range(4))
    tilt = torch.zeros(4, 3, 7)
    tilt[..., 3:5] = 1.0
    after = env.step(tilt).observation
    assert torch.equal(after.state, first.state)
    assert torch.equal(after.images["front"], first.images["front"])


def test_scenes_have_no_overlaps_and_nothing_ambiguous():
    sample = SceneSampler(list(OBJECTS), list(RECEPTACLES), list(COLOURS), 3, 3, 0.3)
    for seed in range(200):
        scene = sample(seed)
        for a, b in itertools.combinations([*scene.objects, *scene.receptacles], 2):
            assert np.linalg.norm(a.position - b.position) > a.kind.reach + b.kind.reach
        for items in (scene.objects, scene.receptacles):
            assert len({(item.name, item.colour) for item in items}) == len(items)


def test_the_instruction_names_the_first_object_and_receptacle():
    colours = {colour: name for name, colour in COLOURS.items()}
    sample = SceneSampler(list(OBJECTS), list(RECEPTACLES), list(COLOURS), 1, 2, 1.0)
    used = set()
    for seed in range(100):
        scene = sample(seed)
        named = [f"{colours[item.colour]} {item.name}" for item in (scene.objects[0], scene.receptacles[0])]
        sentences = [template.format(object=named[0], receptacle=named[1]) for template in TEMPLATES]
        used.add(sentences.index(scene.instruction))
    assert used == set(range(len(TEMPLATES)))


def test_workspace_scales_the_reach():
    def distance(workspace):
        sample = SceneSampler(["cube"], ["plate"], list(COLOURS), 0, 1, workspace)
        return np.mean([np.linalg.norm(sample(seed).objects[0].position) for seed in range(100)])

    assert distance(0.4) < 0.75 * distance(1.0)


def test_success_can_be_lost_where_it_does_not_end_the_episode():
    env = Tabletop(num_envs=16, terminate_on_success=False, max_episode_steps=60, **SMALL, **EASY)
    env.reset(range(16))
    for _ in range(20):
        step = env.step(env.expert_actions()[:, None])
    assert step.success.all()
    take_away = torch.tensor([[0, 0, 0, 0, 0, 0, -1.0]] * 2 + [[0, 0, 1, 0, 0, 0, -1.0]] * 2).expand(16, 4, 7)
    step = env.step(take_away)
    assert not step.success[:, -1].any()
    assert (step.milestone == 5).all()
    assert step.valid.all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"image_size": 8}, "image_size"),
        ({"max_episode_steps": 0}, "max_episode_steps"),
        ({"num_distractors": 4}, "num_distractors"),
        ({"num_receptacles": 0}, "num_receptacles"),
        ({"workspace": 0.0}, "workspace"),
        ({"workspace": 1.5}, "workspace"),
        ({"expert_noise": -0.1}, "expert_noise"),
        ({"objects": ["sphere"]}, "cube, ball, cylinder, bar"),
        ({"receptacles": []}, "plate, tray, bowl"),
        ({"colours": ["pink"]}, "red, green"),
        ({"objects": ["cube"], "colours": ["red"]}, "2 objects"),
        ({"receptacles": ["plate"], "colours": ["red"], "num_distractors": 0}, "2 receptacles"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tabletop(**arguments)


def test_it_must_be_reset_first():
    env = Tabletop(num_envs=1, **SMALL)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(torch.zeros(1, 1, 7))
    with pytest.raises(RuntimeError, match="reset"):
        env.expert_actions()


def test_the_value_out_of_range_is_named():
    env = Tabletop(num_envs=2, **SMALL)
    env.reset([0, 1])
    actions = torch.zeros(2, 3, 7)
    actions[1, 2, 4] = -1.25
    with pytest.raises(ValueError, match=r"actions\[1, 2, 4\] is -1.25"):
        env.step(actions)
    env.step(torch.full((2, 1, 7), 1.00005))
