"""Recorded episodes seen otherwise, in one small ManiSkill scene."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feat2go.core.types import Episode
from feat2go.data.hdf5 import DatasetError
from feat2go.envs.maniskill import replay
from feat2go.envs.maniskill.light import light_urdf
from feat2go.envs.maniskill.replay import Replayer
from feat2go.envs.maniskill.variations import KINDS, Variation, varied
from feat2go.rollouts import variations
from feat2go.rollouts.variations import perturbations, rendered_anew

SEED = 3
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (3, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def replayer(tmp_path_factory):
    """With a robot that loads in a fraction of the time, for this module only."""
    from mani_skill.agents.robots.panda.panda import Panda

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEAT2GO_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(Panda, "urdf_path", str(light_urdf(Path(Panda.urdf_path))))
        patch.setattr(replay.light, "install", lambda: None)
        replayer = Replayer("PushCube-v1", "ee", 64)
        yield replayer
        replayer.close()


@pytest.mark.vulkan
@pytest.mark.parametrize("kind", KINDS)
def test_other_pictures_of_the_same_states_and_nothing_stays_behind(replayer, kind):
    clean = replayer.first_frame(SEED)
    frames, states = replayer.see_otherwise(SEED, ACTIONS, Variation(kind, 2, 0))
    assert frames.shape == (4, 64, 64, 3)
    assert frames.dtype == np.uint8
    assert not np.array_equal(frames[0], clean)
    again, same_states = replayer.see_otherwise(SEED, ACTIONS, Variation(kind, 2, 0))
    np.testing.assert_array_equal(again, frames)
    other, others_states = replayer.see_otherwise(SEED, ACTIONS, Variation(kind, 3, 1))
    assert not np.array_equal(other, frames)
    # What is seen has no part in what happens.
    np.testing.assert_array_equal(same_states, states)
    np.testing.assert_array_equal(others_states, states)
    np.testing.assert_array_equal(replayer.first_frame(SEED), clean)


@pytest.mark.vulkan
def test_light_grows_darker_and_distractors_more(replayer):
    clean = replayer.first_frame(SEED).astype(int)
    seen = {
        (kind, severity): replayer.see_otherwise(SEED, ACTIONS[:0], Variation(kind, severity, 0))[0][0].astype(int)
        for kind in ("light", "distractors")
        for severity in (1, 3)
    }
    assert seen["light", 3].mean() < seen["light", 1].mean() < clean.mean()
    changed = {severity: (seen["distractors", severity] != clean).any(axis=-1).mean() for severity in (1, 3)}
    assert 0 < changed[1] < changed[3] < 0.3


@pytest.mark.vulkan
def test_distractors_lie_where_nothing_passes(replayer):
    clean = replayer.first_frame(SEED)
    scene = replayer._scene
    everywhere = np.stack(np.meshgrid(np.arange(-2, 2, 0.12), np.arange(-2, 2, 0.12)), axis=-1).reshape(-1, 2)
    with varied(scene, Variation("distractors", 3, 0), everywhere):
        np.testing.assert_array_equal(scene.images()[0, 0], clean)


@pytest.mark.vulkan
def test_an_episode_is_rendered_anew_only_if_it_repeats_itself(replayer, monkeypatch):
    monkeypatch.setattr(variations, "Replayer", lambda *_: replayer)
    monkeypatch.setattr(replayer, "close", lambda: None)
    frames, states = replayer.see_otherwise(SEED, ACTIONS, Variation("view", 1, 0))
    recorded = np.stack([replayer.first_frame(SEED)] * 4)
    episode = Episode({"base": recorded}, "push", ACTIONS, states, True, None, "one", "PushCube-v1", SEED, 20.0)
    (seen,) = rendered_anew([episode], "view", 1)
    np.testing.assert_array_equal(seen, frames)
    with pytest.raises(DatasetError, match="'one' went another way"):
        list(rendered_anew([replace(episode, state=states + 0.01)], "view", 1))
    with pytest.raises(DatasetError, match="'one' looks otherwise"):
        list(rendered_anew([replace(episode, frames={"base": recorded // 2})], "view", 1))


def test_refusals_name_what_can_be_done():
    episode = Episode({}, "put", ACTIONS, None, True, None, "one", "PutOn-v1", SEED, 5.0)
    with pytest.raises(DatasetError, match=r"'PutOn-v1' can't be rendered anew; .*PickCube-v1"):
        list(rendered_anew([episode], "light", 1))
    with pytest.raises(ValueError, match="light, distractors, view; got 'fog'"):
        Variation("fog", 1, 0)
    with pytest.raises(ValueError, match="severity is 1, 2 or 3"):
        Variation("light", 0, 0)


def test_rendering_is_only_done_on_request():
    assert len(perturbations(False)) == 15
    assert list(perturbations(True))[15:] == [f"rendered {kind} {level}" for kind in KINDS for level in (1, 2, 3)]
    frames = np.full((2, 8, 8, 3), 200, np.uint8)
    episode = Episode({"base": frames}, "push", ACTIONS[:1], None, True, None, "one", "PushCube-v1", SEED, 20.0)
    (darker,) = perturbations(False)["light 3"]([episode])
    assert darker.mean() < frames.mean()
