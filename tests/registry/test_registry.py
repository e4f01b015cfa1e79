import importlib.util
import subprocess
import sys

import pytest

from feat2go.registry import SLOTS, Entry, Registry, UnknownNameError


def make():
    return Registry(
        "encoders", "encoder", {"vjepa2": Entry("json:JSONDecoder", "one line"), "tiny": Entry("json:loads")}
    )


def test_an_unknown_name_gets_one_sentence():
    with pytest.raises(UnknownNameError) as error:
        make().entry("vjepa3")
    assert error.value.args[0] == (
        "unknown encoder 'vjepa3'. Did you mean 'vjepa2'? Known: tiny, vjepa2. Or give a full class_path."
    )
    with pytest.raises(UnknownNameError) as error:
        make().entry("zzz")
    assert error.value.args[0] == "unknown encoder 'zzz'. Known: tiny, vjepa2. Or give a full class_path."


def test_get_imports_only_what_is_asked_for():
    import json

    assert make().get("vjepa2") is json.JSONDecoder


def test_a_decorator_adds_a_name():
    registry = make()

    @registry.register("mine", needs="patience")
    class Mine:
        """First line.

        More.
        """

    entry = registry.entry("mine")
    assert entry.summary == "First line."
    assert entry.needs == "patience"
    assert entry.path.endswith("test_a_decorator_adds_a_name.<locals>.Mine")
    assert "mine" in registry
    with pytest.raises(ValueError, match="encoder 'vjepa2' is already json:JSONDecoder"):
        registry.register("vjepa2")(Mine)


def test_patterns():
    assert make().names("v*") == ["vjepa2"]
    assert list(make()) == ["tiny", "vjepa2"]


@pytest.mark.parametrize("slot", SLOTS)
def test_every_built_in_can_be_imported_and_says_what_it_is(slot):
    for name in SLOTS[slot].names():
        entry = SLOTS[slot].entry(name)
        assert entry.summary
        if name == "maniskill" and importlib.util.find_spec("mani_skill") is None:
            continue
        assert isinstance(SLOTS[slot].get(name), type)


def test_listing_imports_no_torch():
    code = (
        "import sys; import feat2go; from feat2go.cli.main import main; main(['list']); main(['--help']);"
        "assert not {'torch', 'lightning', 'numpy', 'jsonargparse'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tiny_vla" in done.stdout
