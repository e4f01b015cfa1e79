import json

import pytest

from feat2go.cli.expand import class_paths, expand, expand_argv
from feat2go.registry import UnknownNameError

TREND = "feat2go.clustering.trend.Trend"


def test_the_three_spellings_are_one():
    for spelling in ("trend", {"class_path": "trend"}, {"class_path": TREND}, TREND):
        assert expand({"clustering": spelling}) == {"clustering": {"class_path": TREND}}


def test_arguments_are_kept_and_nested_slots_expanded():
    tree = {"model": {"init_args": {"value": {"class_path": "small", "init_args": {"encoder": "pixels", "width": 3}}}}}
    assert expand(tree)["model"]["init_args"]["value"] == {
        "class_path": "feat2go.values.small.SmallValue",
        "init_args": {"encoder": {"class_path": "feat2go.encoders.baselines.PixelPatches"}, "width": 3},
    }


def test_other_keys_and_values_are_left_alone():
    tree = {"encoder": None, "format": ["a"], "title": "trend", "list": [{"reward": "sparse"}]}
    assert expand(tree) == {**tree, "list": [{"reward": {"class_path": "feat2go.rewards.terminal.Sparse"}}]}


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match="unknown clustering 'trnd'. Did you mean 'trend'"):
        expand({"clustering": "trnd"})


@pytest.mark.parametrize(
    "words",
    [
        ["--clustering=trend"],
        ["--model.clustering=trend"],
        ["--clustering", "trend"],
        ["--model.init_args.clustering.class_path=trend"],
        ["--clustering.class_path", "trend"],
    ],
)
def test_names_on_the_command_line(words):
    assert " ".join(expand_argv(words)).endswith(TREND)


def test_words_that_are_no_slot_stay():
    words = ["fit", "--trainer.max_epochs=3", "--env.init_args.task=PushCube-v1", "--output", "trend"]
    assert expand_argv(words) == words


def test_class_paths_are_found_wherever_they_stand():
    tree = {"model": {"class_path": "a.B", "init_args": {"policy": {"class_path": "c.D"}}}}
    assert class_paths(tree) == {"model": ("a.B", True), "model.policy": ("c.D", False)}


@pytest.mark.parametrize("words", [["--model.clustering", "{}"], ["--model.clustering={}"]])
def test_a_class_with_arguments_may_be_given_as_json(words):
    spelt = '{"class_path": "trend", "init_args": {"window": 3}}'
    expanded = expand_argv([word.replace("{}", spelt) for word in words])
    tree = json.loads(expanded[-1].removeprefix("--model.clustering="))
    assert tree == {"class_path": TREND, "init_args": {"window": 3}}


def test_what_begins_as_json_ends_as_json():
    with pytest.raises(ValueError, match='not valid JSON: {"class_path": '):
        expand_argv(["--clustering", '{"class_path": "trend"'])
