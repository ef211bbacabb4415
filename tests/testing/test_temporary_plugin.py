"""A plugin is found within the block, and nothing is left of it afterwards."""

from __future__ import annotations

import os
import sys
import types

import attrs
import pytest

import lungpatch
from lungpatch.errors import PluginError, UnknownComponentError
from lungpatch.plugins.registry import default_registry
from lungpatch.scorers.sad import SADScorer
from lungpatch.testing import temporary_plugin


@attrs.define(kw_only=True, eq=False)
class LouderScorer(SADScorer):
    gain: float = 2.0


def register(register):
    register.scorer("louder", LouderScorer, summary="For tests.")


def module_named(name):
    module = types.ModuleType(name)

    @lungpatch.hookimpl
    def lungpatch_register(register):
        register.scorer("louder", LouderScorer, summary="For tests.")

    module.lungpatch_register = lungpatch_register
    return module


def surroundings():
    return list(sys.path), set(sys.modules), dict(os.environ)


@pytest.mark.parametrize("plugin", [register, module_named("fake_louder")])
def test_plugin_is_found_by_name_within_the_block_only(plugin):
    before = surroundings()
    with temporary_plugin(plugin) as registry:
        assert default_registry() is registry
        scorer = registry.create("scorer", "louder", {"gain": 3})
        assert scorer.gain == 3.0
        assert registry.name_of("scorer", scorer).startswith("temporary-plugin:")
    assert surroundings() == before
    with pytest.raises(UnknownComponentError):
        default_registry().find("scorer", "louder")


def test_decorated_function_is_taken():
    with temporary_plugin(module_named("fake").lungpatch_register) as registry:
        assert "louder" in registry.names("scorer")


def test_pipeline_is_saved_and_read(fast_tables, cohort, tmp_path):
    from lungpatch.pipeline.configuration import build_pipeline

    fast_tables["scorer"] = {"name": "louder", "gain": 5.0}
    with temporary_plugin(register):
        pipeline = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
        path = pipeline.save(tmp_path / "mine.lungpatch")
        assert lungpatch.load_pipeline(path).scorer.gain == 5.0
    with pytest.raises(lungpatch.LungpatchError, match="temporary-plugin"):
        lungpatch.load_pipeline(path)


def test_loaded_module_and_restriction_are_restored(monkeypatch):
    module = module_named("fake_loaded")
    monkeypatch.setitem(sys.modules, "fake_loaded", module)
    monkeypatch.setenv("LUNGPATCH_PLUGINS", "")
    with temporary_plugin(module) as registry:
        assert "louder" in registry.names("scorer")
    assert sys.modules["fake_loaded"] is module
    assert os.environ["LUNGPATCH_PLUGINS"] == ""


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (types.ModuleType("fake_empty"), "fake_empty: has no hook"),
        (lambda register: register.scorrer, "did you mean 'scorer'"),
        (lambda register: None, "registers nothing"),
    ],
)
def test_plugin_that_cannot_be_loaded_raises(plugin, message):
    before = surroundings()
    with pytest.raises(PluginError, match=message), temporary_plugin(plugin):
        pytest.fail("the block was entered")
    assert surroundings() == before
