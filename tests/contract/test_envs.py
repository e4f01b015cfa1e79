"""What every registered environment must do. A third party's is checked by installing it beside these tests."""

import numpy as np
import pytest
import torch

from feat2go.core import Observation
from feat2go.core.seeding import episode_seed
from feat2go.core.slots import VectorEnv
from feat2go.registry import ENVS

# Small ones. An environment that is not listed is built with its defaults.
ARGUMENTS = {
    "tabletop": {"num_envs": 3, "image_size": 48, "max_episode_steps": 20, "workspace": 0.4},
    "maniskill": {"task": "PushCube-v1", "num_envs": 2, "image_size": 64, "max_episode_steps": 20},
    "put_on": {"num_envs": 2, "image_size": 64, "max_episode_steps": 40},
}
# Beside the registered ones: the tabletop in worker processes, of one and of two environments; and two arms, with 14
# numbers to an action and three cameras, in episodes too short for their expert, which succeeds in
# tests/envs/test_maniskill_scene.py.
IN_WORKERS, TWO_ARMS = "tabletop in workers", "maniskill with two arms"
ARGUMENTS[IN_WORKERS] = {**ARGUMENTS["tabletop"], "num_workers": 2}
ARGUMENTS[TWO_ARMS] = {"task": "TwoRobotPickCube-v1", "num_envs": 1, "image_size": 16, "max_episode_steps": 7}
REGISTERED = {IN_WORKERS: "tabletop", TWO_ARMS: "maniskill"}
NEED_VULKAN = {"maniskill", "put_on", TWO_ARMS}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.vulkan if name in NEED_VULKAN else ()) for name in (*ENVS, *REGISTERED)
    ],
)
def env(request):
    try:
        cls = ENVS.get(REGISTERED.get(request.param, request.param))
    except ModuleNotFoundError as error:
        pytest.skip(f"{request.param} is not installed: {error}")
    env = cls(**ARGUMENTS.get(request.param, {}))
    yield env
    env.close()
    env.close()


def seeds(env, first=0):
    return [episode_seed("development", first + i) for i in range(env.num_envs)]


def random_actions(env, num_actions, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(env.num_envs, num_actions, env.action_dim, generator=generator) - 1


def run(env, actions, chunk=1, next_seeds=None):
    """All steps of a chunked sequence of actions (N, C, A)."""
    return [env.step(part, next_seeds) for part in actions.split(chunk, dim=1)]


def same(a, b):
    """Equal observations."""
    states = (a.state is None and b.state is None) or torch.equal(a.state, b.state)
    images = a.images.keys() == b.images.keys() and all(torch.equal(a.images[c], b.images[c]) for c in a.images)
    return states and images and a.instruction == b.instruction


def check_observation(env, observation, num_rows):
    assert tuple(observation.images) == env.cameras
    for image in observation.images.values():
        assert image.dtype == torch.uint8
        assert image.shape == (num_rows, env.image_size, env.image_size, 3)
    if env.state_dim:
        assert observation.state.dtype == torch.float32
        assert observation.state.shape == (num_rows, env.state_dim)
        assert observation.state.isfinite().all()
    else:
        assert observation.state is None
    assert len(observation.instruction) == num_rows
    assert all(isinstance(sentence, str) and sentence for sentence in observation.instruction)


def flag(steps, name):
    """A flag of several steps, joined along the actions."""
    return torch.cat([getattr(step, name) for step in steps], dim=1)


def test_it_declares_itself(env):
    assert isinstance(env, VectorEnv)
    assert isinstance(env.env_id, str)
    assert env.env_id
    assert env.num_envs >= 1
    assert env.action_dim >= 1
    assert env.max_episode_steps >= 1
    assert env.fps > 0
    assert len(env.cameras) >= 1
    assert all(isinstance(name, str) for name in env.milestones)
    assert isinstance(env.terminate_on_success, bool)


def test_shapes_and_types(env):
    check_observation(env, env.reset(seeds(env)), env.num_envs)
    step = env.step(random_actions(env, 3))
    check_observation(env, step.observation, env.num_envs)
    for name in ("terminated", "truncated", "success", "valid"):
        assert getattr(step, name).dtype == torch.bool
        assert getattr(step, name).shape == (env.num_envs, 3)
    assert step.milestone.dtype == torch.int64
    assert step.milestone.shape == (env.num_envs, 3)
    assert step.final_index.dtype == torch.int64
    check_observation(env, step.final_observation, len(step.final_index))


def test_an_episode_is_a_function_of_its_seed_and_actions_whatever_its_slot(env):
    actions = random_actions(env, 6)
    first = env.reset(seeds(env))
    steps = run(env, actions, chunk=2)
    slots = torch.arange(env.num_envs).roll(1)
    assert same(env.reset([seeds(env)[i] for i in slots]), first.select(slots))
    for step, moved in zip(steps, run(env, actions[slots], chunk=2), strict=True):
        assert same(moved.observation, step.observation.select(slots))
        for name in ("terminated", "truncated", "success", "valid", "milestone"):
            assert torch.equal(getattr(moved, name), getattr(step, name)[slots])


def test_slots_with_the_same_seed_are_in_the_same_state(env):
    """What a group of episodes begins from; with one worker process per slot, across processes too."""
    first = env.reset([seeds(env)[0]] * env.num_envs)
    actions = random_actions(env, 3)[:1].expand(env.num_envs, -1, -1)
    later = env.step(actions).observation
    for slot in range(1, env.num_envs):
        for observation in (first, later):
            assert same(observation.select(torch.tensor([slot])), observation.select(torch.tensor([0])))


def test_another_seed_is_another_episode(env):
    images = env.reset(seeds(env)).images[env.cameras[0]]
    others = env.reset(seeds(env, first=1000)).images[env.cameras[0]]
    assert all(not torch.equal(a, b) for a, b in zip(images, others, strict=True))


def test_an_earlier_observation_does_not_change(env):
    first = env.reset(seeds(env))
    copy = first.select(torch.arange(env.num_envs))
    run(env, random_actions(env, env.max_episode_steps), next_seeds=seeds(env, first=5))
    assert same(first, copy)


def test_chunks_are_only_a_way_of_sending_actions(env):
    actions = random_actions(env, 6)
    env.reset(seeds(env))
    singly = run(env, actions)
    env.reset(seeds(env))
    chunked = run(env, actions, chunk=3)
    assert same(singly[-1].observation, chunked[-1].observation)
    assert torch.equal(flag(singly, "milestone"), flag(chunked, "milestone"))


def test_numpy_actions_do_the_same(env):
    actions = random_actions(env, 2)
    env.reset(seeds(env))
    step = env.step(actions)
    env.reset(seeds(env))
    assert same(env.step(actions.numpy()).observation, step.observation)


def test_the_time_limit_truncates_inside_a_chunk_and_the_rest_is_not_carried_out(env):
    limit = env.max_episode_steps
    actions = random_actions(env, limit + 3)
    env.reset(seeds(env))
    singly = run(env, actions[:, :limit])
    env.reset(seeds(env))
    (step,) = run(env, actions, chunk=limit + 3)
    ended = step.terminated | step.truncated
    assert not (step.terminated & step.truncated).any()
    assert (ended.sum(dim=1) == 1).all()
    length = ended.int().argmax(dim=1) + 1
    assert torch.equal(step.valid, torch.arange(limit + 3) < length[:, None])
    assert (step.truncated.any(dim=1) == (length == limit) & ~step.terminated.any(dim=1)).all()
    assert not step.success[~step.valid].any()
    # Actions after the end did not touch the last picture.
    assert torch.equal(step.final_index, torch.arange(env.num_envs))
    assert same(step.final_observation, singly[-1].observation)
    assert same(step.final_observation, step.observation)


def test_without_next_seeds_it_idles(env):
    env.reset(seeds(env))
    last = run(env, random_actions(env, env.max_episode_steps))[-1]
    idle = env.step(random_actions(env, 2, seed=1))
    assert not idle.valid.any()
    assert not (idle.terminated | idle.truncated | idle.success).any()
    assert len(idle.final_index) == 0
    check_observation(env, idle.final_observation, 0)
    assert same(idle.observation, last.observation)


def test_with_next_seeds_a_new_episode_starts_at_the_end_of_the_chunk(env):
    actions = random_actions(env, env.max_episode_steps + 1)
    env.reset(seeds(env))
    without = run(env, actions, chunk=len(actions[0]))[-1]
    env.reset(seeds(env))
    step = run(env, actions, chunk=len(actions[0]), next_seeds=seeds(env, first=50))[-1]
    assert torch.equal(step.valid, without.valid)
    assert torch.equal(step.final_index, without.final_index)
    assert same(step.final_observation, without.final_observation)
    after = env.step(actions[:, :2])
    assert same(env.reset(seeds(env, first=50)), step.observation)
    assert same(env.step(actions[:, :2]).observation, after.observation)
    assert after.valid.all()


def test_milestones_count_up(env):
    env.reset(seeds(env))
    steps = run(env, random_actions(env, env.max_episode_steps))
    milestone = flag(steps, "milestone")
    assert (milestone >= 0).all()
    assert (milestone <= len(env.milestones)).all()
    assert (milestone.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("ends", [True, False])
def test_the_expert_succeeds_and_success_ends_an_episode_only_if_told_to(env, ends):
    if env.env_id == ARGUMENTS[TWO_ARMS]["task"]:
        pytest.skip("no expert succeeds in so few steps")
    env.terminate_on_success = ends
    try:
        env.reset(seeds(env))
        steps = []
        for _ in range(env.max_episode_steps):
            try:
                actions = env.expert_actions()
            except NotImplementedError as error:
                pytest.skip(str(error))
            assert actions.dtype == torch.float32
            assert actions.shape == (env.num_envs, env.action_dim)
            assert (actions.abs() <= 1).all()
            steps.append(env.step(actions[:, None]))
    finally:
        env.terminate_on_success = True
    success, terminated = flag(steps, "success"), flag(steps, "terminated")
    assert success.any()
    assert torch.equal(terminated, success if ends else torch.zeros_like(success))
    assert (flag(steps, "milestone")[success.any(dim=1), -1] == len(env.milestones)).all()
    if not ends:
        assert flag(steps, "valid").all()
        assert flag(steps, "truncated")[:, -1].all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda actions: actions[:, 0],
        lambda actions: actions[:, :0],
        lambda actions: actions[..., :-1],
        lambda actions: torch.cat([actions, actions]),
        lambda actions: torch.full_like(actions, torch.nan),
        lambda actions: torch.full_like(actions, 1.5),
    ],
    ids=["no chunk axis", "empty chunk", "action too short", "too many environments", "NaN", "out of range"],
)
def test_bad_actions_are_refused_and_do_nothing(env, spoil):
    first = env.reset(seeds(env))
    actions = random_actions(env, 2)
    with pytest.raises(ValueError, match="action"):
        env.step(spoil(actions))
    refused = env.step(actions)
    assert same(env.reset(seeds(env)), first)
    assert same(env.step(actions).observation, refused.observation)


def test_a_wrong_number_of_seeds_is_refused(env):
    with pytest.raises(ValueError, match="seed"):
        env.reset([*seeds(env), 1])
    env.reset(seeds(env))
    with pytest.raises(ValueError, match="seed"):
        env.step(random_actions(env, 1), next_seeds=[])


def test_seeds_may_be_arrays(env):
    observation = env.reset(seeds(env))
    assert same(env.reset(np.array(seeds(env))), observation)


def test_episodes_under_way_are_restored_to_the_bit(env):
    """Those of different ages too: what a resumed run goes on with."""
    actions = random_actions(env, 9)
    expected = []
    ages = [3 + n for n in range(env.num_envs)]
    for n, age in enumerate(ages):
        env.reset(seeds(env))
        env.step(actions[:, :age])
        expected.append(env.step(actions[:, age : age + 2]).observation.select(torch.tensor([n])))
    restored = env.restore(seeds(env), [actions[n, :age] for n, age in enumerate(ages)])
    check_observation(env, restored, env.num_envs)
    after = env.step(torch.stack([actions[n, age : age + 2] for n, age in enumerate(ages)]))
    assert after.valid.all()
    assert same(after.observation, Observation.concat(expected))


def test_restoring_an_episode_that_has_just_begun_is_a_reset(env):
    begun = env.reset(seeds(env))
    assert same(env.restore(seeds(env), [torch.zeros(0, env.action_dim)] * env.num_envs), begun)
    with pytest.raises(ValueError, match=rf"\(L, {env.action_dim}\)"):
        env.restore(seeds(env), [torch.zeros(2, env.action_dim + 1)] * env.num_envs)
