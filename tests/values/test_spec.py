from functools import partial

import pytest
from jsonargparse import ArgumentParser

from feat2go.registry import ENCODERS, Entry
from feat2go.values import HashedWords, SmallValue
from feat2go.values.spec import factory_of, spec_of

HASHED = {"class_path": "feat2go.values.text.HashedWords", "init_args": {"num_buckets": 8}}


def test_a_class_and_a_partial_become_data():
    assert spec_of(HashedWords) == {"class_path": HASHED["class_path"], "init_args": {}}
    assert spec_of(partial(HashedWords, num_buckets=8)) == HASHED


def test_nested_factories_round_trip(patch_means):
    factory = partial(SmallValue, encoder=patch_means, text=partial(HashedWords, num_buckets=8), width=16)
    spec = spec_of(factory)
    assert spec["init_args"]["text"] == HASHED
    rebuilt = factory_of(spec, allow_any_class=True)
    assert spec_of(rebuilt) == spec
    assert rebuilt().fingerprints == factory().fingerprints


def test_the_factories_that_yaml_gives_become_the_same_data():
    parser = ArgumentParser()
    parser.add_argument("--text", type=_text_factory())
    config = parser.parse_object({"text": HASHED})
    assert spec_of(parser.instantiate_classes(config).text) == HASHED


def _text_factory():
    from collections.abc import Callable

    from torch import nn

    return Callable[[], nn.Module]


def test_a_class_that_is_registered_is_trusted(patch_means, monkeypatch):
    spec = spec_of(patch_means)
    with pytest.raises(ValueError, match="allow_any_class=True"):
        factory_of(spec)
    module, _, name = spec["class_path"].rpartition(".")
    monkeypatch.setattr(ENCODERS, "_entries", {**ENCODERS._entries, "means": Entry(f"{module}:{name}")})
    assert factory_of(spec)().feature_shape == (4, 3)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (lambda: None, "functools.partial"),
        (partial(HashedWords, 8), "functools.partial of one with keyword arguments"),
        (partial(HashedWords, num_buckets=object()), r"HashedWords\.num_buckets can't be saved"),
    ],
)
def test_what_can_not_be_written_down_is_refused(factory, message):
    with pytest.raises(ValueError, match=message):
        spec_of(factory)
