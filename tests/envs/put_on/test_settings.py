from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from feat2go.envs.put_on import names
from feat2go.envs.put_on.placements import UNSEEN_YAWS, YAWS, pairs
from feat2go.envs.put_on.settings import SETTINGS, setting_named
from feat2go.envs.put_on.suites import PutOnID, PutOnOOD, PutOnOODRLinf

TRAIN = SETTINGS["in_distribution"]
# name -> number of states, by the definitions.
NUM_STATES = {
    "in_distribution": 16 * 1 * 16 * 784 * 4,
    "unseen_table": 16 * 5 * 784 * 4,
    "texture_03": 16 * 16 * 16 * 784 * 4,
    "noise_05": 16 * 16 * 16 * 784 * 4,
    "unseen_object": 9 * 16 * 784 * 4,
    "unseen_receptacle": 16 * 16 * 16 * 784 * 4,
    "unseen_phrasing": 16 * 16 * 16 * 784 * 4,
    "two_objects_seen": 16 * 15 * 16 * 1896 * 4,
    "two_objects_unseen": 9 * 8 * 16 * 1896 * 4,
    "two_receptacles_seen": 16 * 16 * 21 * 1896 * 4,
    "two_receptacles_unseen": 16 * 16 * 15 * 21 * 1896 * 4,
    "unseen_position": 16 * 16 * 628 * 4,
    "unseen_robot_pose": 16 * 14375 * 16 * 784 * 4,
    "object_moved": 16 * 16 * 1896 * 4,
}


def sample(setting, num=4000):
    """States all over a setting."""
    return [setting.state(i) for i in np.random.default_rng(0).integers(setting.num_states, size=num).tolist()]


def test_the_training_set_has_802816_states():
    assert TRAIN.num_states == 802_816


@pytest.mark.parametrize("name", NUM_STATES)
def test_settings_have_the_defined_number_of_states(name):
    assert SETTINGS[name].num_states == NUM_STATES[name]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_an_id_is_a_state_and_another_id_another_state(setting):
    first = [0, 1, 2, 3, 4, 5]
    ids = [*first, *(setting.num_states - 1 - i for i in first), *(setting.episode_id(seed) for seed in range(300))]
    states = {i: setting.state(i) for i in ids}
    assert all(setting.state(i) == state for i, state in states.items())
    anonymous = {replace(state, episode_id=0) for state in states.values()}
    # Under RLinf's reading, the extra factor decides nothing.
    assert len(anonymous) == len(states) or setting.texture_of_table
    for wrong in (-1, setting.num_states):
        with pytest.raises(ValueError, match=setting.name):
            setting.state(wrong)


def test_every_training_state_occurs_exactly_once():
    """The digits of all 802,816 ids, without building a state for each."""
    digits = np.unravel_index(np.arange(TRAIN.num_states), TRAIN._sizes)
    assert len(np.unique(np.stack(digits, axis=1), axis=0)) == TRAIN.num_states


def test_seeds_reach_all_factors_evenly():
    states = [TRAIN.state(TRAIN.episode_id(seed)) for seed in range(4000)]
    for factor, num_values in (("object", 16), ("table", 16), ("yaw", 4)):
        counts = Counter(getattr(state, factor) for state in states)
        assert len(counts) == num_values
        # Five standard deviations of a binomial count.
        expected = 4000 / num_values
        assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5
    assert len({state.object_position for state in states}) == 36


def test_training_and_unseen_factors_are_disjoint():
    assert not set(names.TRAIN_OBJECTS) & set(names.UNSEEN_OBJECTS)
    assert not set(names.TRAIN_RECEPTACLES) & set(names.UNSEEN_RECEPTACLES)
    assert not set(names.TRAIN_TABLES) & set(names.UNSEEN_TABLES)
    assert not set(names.TRAIN_PHRASINGS) & set(names.UNSEEN_PHRASINGS)
    assert not set(YAWS) & set(UNSEEN_YAWS)
    assert len(set(names.OBJECTS)) == 25
    assert len(set(names.RECEPTACLES)) == 17
    assert len(set(names.PHRASINGS)) == 17
    assert len(names.TRAIN_TABLES) + len(names.UNSEEN_TABLES) == names.NUM_TABLES == 21


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("unseen_table", "table"),
        ("unseen_object", "object"),
        ("two_objects_unseen", "object"),
        ("two_objects_unseen", "second_object"),
        ("unseen_receptacle", "receptacle"),
        ("two_receptacles_seen", "second_receptacle"),
        ("two_receptacles_unseen", "receptacle"),
        ("two_receptacles_unseen", "second_receptacle"),
        ("unseen_phrasing", "phrasing"),
        ("unseen_position", "object_position"),
        ("unseen_position", "receptacle_position"),
        ("unseen_position", "yaw"),
    ],
)
def test_what_a_setting_calls_unseen_does_not_occur_in_training(name, factor):
    def values(setting):
        return {getattr(state, factor) for state in sample(setting)}

    unseen = values(SETTINGS[name])
    assert len(unseen) > 3
    assert not unseen & values(TRAIN)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_everything_else_is_as_in_training(setting):
    differs = {
        "unseen_table": {"table"},
        "unseen_object": {"object"},
        "unseen_receptacle": {"receptacle"},
        "unseen_phrasing": {"phrasing"},
        "two_objects_seen": {"second_object", "third_position"},
        "two_objects_unseen": {"object", "second_object", "third_position"},
        "two_receptacles_seen": {"second_receptacle", "third_position", "table"},
        "two_receptacles_unseen": {"receptacle", "second_receptacle", "third_position", "table"},
        "unseen_position": {"object_position", "receptacle_position", "yaw"},
        "unseen_robot_pose": {"joint_offset"},
        "object_moved": {"third_position", "moves_to"},
    }.get(setting.name, set())
    if setting.extra == "texture":
        differs = {"texture", "texture_area", "texture_strength"}
    for state in sample(setting, 100):
        usual = {
            "object": state.object in names.TRAIN_OBJECTS,
            "receptacle": state.receptacle in names.TRAIN_RECEPTACLES,
            "table": state.table in names.TRAIN_TABLES,
            "yaw": state.yaw in YAWS,
            "object_position": any(np.array_equal(state.object_position, pair[0]) for pair in pairs()),
            "receptacle_position": any(np.array_equal(state.receptacle_position, pair[1]) for pair in pairs()),
            "phrasing": state.phrasing == 0,
            "texture": state.texture == 0,
            "texture_area": state.texture_area == "whole picture",
            "texture_strength": state.texture_strength == 0,
            "second_object": state.second_object is None,
            "second_receptacle": state.second_receptacle is None,
            "third_position": state.third_position is None,
            "moves_to": state.moves_to is None,
            "joint_offset": not any(state.joint_offset),
        }
        assert all(holds for factor, holds in usual.items() if factor not in differs)


@pytest.mark.parametrize("name", ["two_objects_seen", "two_objects_unseen"])
def test_the_second_object_is_another_one(name):
    drawn = sample(SETTINGS[name])
    assert all(state.second_object != state.object for state in drawn)
    assert {state.second_object for state in drawn} == set(SETTINGS[name].objects)


@pytest.mark.parametrize(
    ("name", "rivals"),
    [("two_receptacles_seen", range(1, 17)), ("two_receptacles_unseen", range(1, 17))],
)
def test_the_second_receptacle_is_another_one(name, rivals):
    drawn = sample(SETTINGS[name])
    assert all(state.second_receptacle != state.receptacle for state in drawn)
    assert {state.second_receptacle for state in drawn} == set(rivals)


def test_both_readings_of_the_textures():
    for prefix, area in (("texture", "robot and objects"), ("noise", "whole picture")):
        for digits, strength in (("03", 0.3), ("05", 0.5)):
            own = sample(SETTINGS[f"{prefix}_{digits}"])
            assert {state.texture for state in own} == set(range(1, 17))
            assert {(state.texture_area, state.texture_strength) for state in own} == {(area, strength)}
            tied = sample(SETTINGS[f"{prefix}_{digits}_rlinf"])
            assert all(state.texture == state.table for state in tied)
            assert {state.texture_strength for state in tied if state.table == 0} == {0.0}
            assert {state.texture_strength for state in tied if state.table > 0} == {strength}


def test_an_unknown_setting_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'unseen_tabel'; known: in_distribution, unseen_table"):
        setting_named("unseen_tabel")


def test_the_suites_hold_15_settings_out_of_distribution():
    for suite in (PutOnOOD, PutOnOODRLinf):
        counts = Counter(setting.category for setting in suite.settings)
        assert counts == {"ID": 1, "Vision": 5, "Semantic": 7, "Execution": 3}
        assert len({setting.name for setting in suite.settings}) == 16
    own, rlinf = ({setting.name for setting in suite.settings} for suite in (PutOnOOD, PutOnOODRLinf))
    assert len(own & rlinf) == 12
    assert {f"{name}_rlinf" for name in own - rlinf} == rlinf - own
    assert [setting.name for setting in PutOnID.settings] == ["in_distribution"]
    assert {setting.name for suite in (PutOnOOD, PutOnOODRLinf) for setting in suite.settings} == set(SETTINGS)
