"""The suite in GPU simulation. Needs a CUDA device with Vulkan; has not been run yet."""

import pytest
import torch

from feat2go.core.seeding import episode_seed
from feat2go.envs.put_on import SETTINGS, PutOn

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.vulkan,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NUM_ENVS = 128


def seeds(first=0):
    return [episode_seed("development", first + i) for i in range(NUM_ENVS)]


@pytest.fixture(scope="module")
def env():
    env = PutOn(num_envs=NUM_ENVS, image_size=64)
    yield env
    env.close()


def test_128_environments_show_128_episodes(env):
    observation = env.reset(seeds())
    images = observation.images["base"]
    assert images.shape == (NUM_ENVS, 64, 64, 3)
    setting = SETTINGS["in_distribution"]
    states = [setting.state(setting.episode_id(seed)) for seed in seeds()]
    same_table = [state.table == states[0].table for state in states]
    assert 0 < sum(same_table) < NUM_ENVS
    assert len({image.numpy().tobytes() for image in images}) > NUM_ENVS * 0.9


def test_one_row_begins_anew_while_the_others_go_on(env):
    env.reset(seeds())
    env._simulation._runner._elapsed[1] = env.max_episode_steps - 1
    step = env.step(torch.zeros(NUM_ENVS, 1, 7), next_seeds=seeds(first=1000))
    assert step.final_index.tolist() == [1]
    scene = env._simulation._scene.env
    expected = SETTINGS["in_distribution"]
    assert scene.states[1] == expected.state(expected.episode_id(seeds(first=1000)[1]))
    assert scene.states[0] == expected.state(expected.episode_id(seeds()[0]))
    position = scene.position_of("object")[1, :2].cpu()
    torch.testing.assert_close(position, torch.tensor(scene.states[1].object_position), atol=1e-3, rtol=0)


def test_the_expert_succeeds_in_most_rows(env):
    env.reset(seeds())
    success = torch.zeros(NUM_ENVS, dtype=torch.bool)
    for _ in range(60):
        success |= env.step(env.expert_actions()[:, None]).success[:, 0]
    assert success.float().mean() > 0.8


def test_the_object_jumps_in_each_row_after_its_own_five_steps():
    env = PutOn("object_moved", num_envs=NUM_ENVS, image_size=32)
    env.reset(seeds())
    scene = env._simulation._scene.env
    before = scene.position_of("object")[:, :2].cpu()
    for _ in range(5):
        env.step(torch.zeros(NUM_ENVS, 1, 7))
    moved = (scene.position_of("object")[:, :2].cpu() - before).norm(dim=1)
    env.close()
    assert (moved > 0.14).all()
