import types

import pytest

import lungpatch
from lungpatch.errors import PluginError
from lungpatch.plugins.hookspecs import Entry
from lungpatch.plugins.manager import (
    Catalogue,
    PluginFailure,
    PluginInfo,
    describe_error,
    load_catalogue,
    normalised,
)
from lungpatch.scorers.sad import SADScorer


def plugin(name, *, scorer="mine"):
    module = types.ModuleType(name)

    @lungpatch.hookimpl
    def lungpatch_register(register):
        register.scorer(scorer, SADScorer, summary="An example.")

    module.lungpatch_register = lungpatch_register
    return module


def test_the_catalogue_knows_who_brought_what():
    catalogue = load_catalogue([plugin("ours")])
    assert isinstance(catalogue, Catalogue)
    assert [type(info) for info in catalogue.plugins] == [PluginInfo, PluginInfo]
    (mine,) = (entry for entry in catalogue.entries if entry.name == "mine")
    assert isinstance(mine, Entry)
    assert mine.plugin_id == catalogue.plugins[1].plugin_id != "lungpatch"
    assert mine.target_class is SADScorer
    assert catalogue.failures == ()


def test_a_failure_does_not_affect_other_plugins():
    broken = types.ModuleType("broken")  # registers nothing
    catalogue = load_catalogue([broken, plugin("ours")])
    (failure,) = catalogue.failures
    assert isinstance(failure, PluginFailure)
    assert "lungpatch_register" in failure.error
    assert "mine" in {entry.name for entry in catalogue.entries}


def test_the_shortest_name_is_the_full_one_where_names_clash():
    registry = lungpatch.Registry(plugins=[plugin("a"), plugin("b"), plugin("c", scorer="other")])
    by_name = {entry.full_name: registry.shortest_name(entry) for entry in registry.entries()}
    clashing = [name for name in by_name if name.endswith("/mine")]
    assert len(clashing) == 2
    assert all(by_name[name] == name for name in clashing)
    assert "other" in by_name.values()
    assert by_name["lungpatch/sad"] == "sad"


def test_errors_become_one_line():
    assert describe_error(PluginError("two\nlines")) == "two lines"
    assert describe_error(ZeroDivisionError("division by zero")).startswith("ZeroDivisionError")


@pytest.mark.parametrize("name", ["Lung_Patch.GMS", "lung-patch-gms", "LUNG.patch--gms"])
def test_names_of_distributions_are_compared_as_pip_does(name):
    assert normalised(name) == "lung-patch-gms"
