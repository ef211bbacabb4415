"""From names and plain settings to components, and back."""

import json
import subprocess
import sys
import types

import attrs
import pytest
from attrs import validators

import lungpatch
from lungpatch.errors import (
    ConfigurationError,
    MissingInputError,
    PluginError,
    UnknownComponentError,
)
from lungpatch.plugins.registry import Registry, plugin_report


@attrs.define(kw_only=True, eq=False)
class DemoScorer:
    gain: float = attrs.field(default=1.0, validator=[validators.instance_of(float)])
    size: int = attrs.field(default=3, validator=validators.ge(1))
    limit: float | None = None
    weights: tuple[float, ...] = ()
    shape: tuple[int, str] | None = None
    mode: str = attrs.field(default="mean", validator=validators.in_(("mean", "sum")))
    flag: bool = False
    fitted_: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self):
        if self.mode == "sum" and self.flag:
            raise ValueError("mode 'sum' and flag exclude each other")

    def score(self, patches, reconstruction):
        raise NotImplementedError


@attrs.define(kw_only=True, eq=False)
class NoScorer:
    def scores(self):
        return None


class PlainScorer:
    def score(self, patches, reconstruction):
        return None


@attrs.define(kw_only=True, eq=False)
class NamedScorer(DemoScorer):
    name: str = "x"


@attrs.define(kw_only=True, eq=False)
class FolderScorer(DemoScorer):
    folder: str

    def __attrs_post_init__(self):
        if self.folder == "gone":
            raise MissingInputError("gone: no such folder")
        if self.folder == "bug":
            raise KeyError("a bug")


@attrs.define(kw_only=True, eq=False, slots=False)
class SlotlessThresholder:
    threshold_: float = attrs.field(init=False)
    uses_labels = False
    min_scores = 1

    def fit(self, pred_scores, gt_labels=None):
        return self


def plugin_of(**targets):
    @lungpatch.hookimpl
    def lungpatch_register(register):
        for name, target in targets.items():
            kind = register.thresholder if target is SlotlessThresholder else register.scorer
            kind(name.replace("_", "-"), target, summary="For tests.")

    plugin = types.ModuleType("demo")
    plugin.lungpatch_register = lungpatch_register
    return plugin


@pytest.fixture
def registry():
    return Registry(plugins=[plugin_of(demo=DemoScorer, folder=FolderScorer)])


def test_every_built_in_target_loads():
    registry = Registry(plugins=[])
    assert registry.failures() == []
    broken = [r["error"] for r in plugin_report(registry, check=True) if r["status"] != "ok"]
    assert broken == []


def test_built_ins():
    registry = Registry(plugins=[])
    assert registry.names("segmenter") == [
        "imlab",
        "masks",
        "onnx",
        "threshold",
        "unet",
        "whole-image",
    ]
    assert registry.names("sampler") == ["grid", "lung-crop", "random"]
    assert registry.names("scorer") == ["feature", "l2", "sad", "ssim"]
    assert registry.names("thresholder") == [
        *("conformal", "fixed", "mixture", "multi-otsu", "quantile", "youden")
    ]
    assert {entry.version for entry in registry.entries()} == {lungpatch.__version__}


def test_reports_are_json_and_filtered():
    rows = plugin_report(Registry(plugins=[]), kind="scorer")
    assert json.loads(json.dumps(rows)) == rows
    assert [row["name"] for row in rows] == ["feature", "l2", "sad", "ssim"]
    assert set(rows[0]) == {
        *("kind", "name", "full_name", "plugin", "version", "summary", "status", "error")
    }


@pytest.mark.parametrize("method", ["names", "entries"])
def test_unknown_kind(method):
    with pytest.raises(ConfigurationError, match="'scorrer'; did you mean 'scorer'"):
        getattr(Registry(plugins=[]), method)("scorrer")


@pytest.mark.parametrize("name", [None, 3, ["sad"], "", "lungpatch/", "other/sad"])
def test_names_of_nothing(name):
    with pytest.raises(UnknownComponentError, match="there is no scorer"):
        Registry(plugins=[]).find("scorer", name)


def test_settings_come_back_as_they_went_in(registry):
    given = {"gain": 2.5, "size": 7, "limit": 0.5, "weights": [0.5, 1.0], "shape": [2, "x"]}
    component = registry.create("scorer", "demo", given)
    assert component.weights == (0.5, 1.0)
    assert component.shape == (2, "x")
    settings = registry.settings(component)
    assert settings == given | {"mode": "mean", "flag": False}
    again = registry.create("scorer", "demo/demo", json.loads(json.dumps(settings)))
    assert registry.settings(again) == settings


def test_integers_serve_as_floats(registry):
    component = registry.create("scorer", "demo", {"gain": 2, "limit": 3, "weights": [1, 2]})
    values = (component.gain, component.limit, *component.weights)
    assert values == (2.0, 3.0, 1.0, 2.0)
    assert all(type(value) is float for value in values)
    assert registry.create("scorer", "demo", {"limit": None}).limit is None


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"gian": 2.0}, ["'gian'", "did you mean 'gain'", "size, limit, weights"]),
        ({"fitted_": 2}, ["'fitted_'"]),
        ({"size": 0, "gain": 2.0}, ["'size' must be >= 1", "given: size = 0"]),
        ({"size": "3"}, ["'size' must be int (got a str)", "size = '3'"]),
        ({"size": 2.5}, ["'size' must be int"]),
        ({"size": True}, ["'size' must be int (got a bool)"]),
        ({"gain": True}, ["'gain' must be float (got a bool)"]),
        ({"gain": 10**400}, ["'demo'", "gain = 1000"]),
        ({"limit": "x"}, ["'limit' must be float or NoneType"]),
        ({"flag": 1}, ["'flag' must be bool"]),
        ({"weights": ["x"]}, ["'weights' must be float"]),
        ({"mode": "max"}, ["'mode' must be in ('mean', 'sum')", "mode = 'max'"]),
        ({"mode": "sum", "flag": True}, ["exclude each other", "mode = 'sum', flag = True"]),
    ],
)
def test_refused_settings(registry, settings, parts):
    with pytest.raises(ConfigurationError) as caught:
        registry.create("scorer", "demo", settings)
    assert str(caught.value).startswith("scorer 'demo'")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "settings", "message"),
    [
        (
            "scorer",
            "sad",
            {"region": "lnug"},
            "scorer 'sad': 'region' must be in ('lung', 'patch') (got 'lnug'); "
            "given: region = 'lnug'",
        ),
        (
            "thresholder",
            "quantile",
            {"q": 2},
            "thresholder 'quantile': 'q' must be <= 1: 2.0; given: q = 2",
        ),
        (
            "sampler",
            "grid",
            {"patch_size": 0},
            "sampler 'grid': 'patch_size' must be >= 1: 0; given: patch_size = 0",
        ),
        (
            "model",
            "ensemble",
            {"members": []},
            "model 'ensemble': Length of 'members' must be >= 1: 0",
        ),
    ],
)
def test_refusals_name_the_component_once(kind, name, settings, message):
    with pytest.raises(ConfigurationError) as caught:
        Registry(plugins=[]).create(kind, name, settings)
    assert str(caught.value) == message


def test_a_required_setting(registry):
    with pytest.raises(ConfigurationError, match="'folder' needs the setting 'folder'"):
        registry.create("scorer", "folder", {})


def test_errors_of_a_component_itself(registry):
    with pytest.raises(MissingInputError, match="no such folder"):
        registry.create("scorer", "folder", {"folder": "gone"})
    with pytest.raises(PluginError, match="scorer 'folder' cannot be created: KeyError"):
        registry.create("scorer", "folder", {"folder": "bug"})


def test_a_setting_that_cannot_be_saved(registry):
    component = DemoScorer(limit=object())
    with pytest.raises(ConfigurationError, match="'limit' is <object .* cannot be saved"):
        registry.settings(component)


def test_full_names_for_saving(registry):
    assert registry.name_of("scorer", DemoScorer()) == "demo/demo"
    sad = registry.create("scorer", "sad", {})
    assert registry.name_of("scorer", sad) == "lungpatch/sad"


def test_naming_a_component_imports_no_other():
    code = (
        "import sys, lungpatch\n"
        "registry = lungpatch.Registry(plugins=[])\n"
        "assert registry.name_of('model', lungpatch.PCA()) == 'lungpatch/pca'\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'lungpatch.models.atlas' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_class_registered_under_another_name_of_its_module(tmp_path, monkeypatch):
    (tmp_path / "fake_alias.py").write_text(
        "import attrs\n"
        "@attrs.define(kw_only=True, eq=False)\n"
        "class Real:\n"
        "    def score(self, patches, reconstruction): ...\n"
        "Alias = Real\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(plugins=[plugin_of(real="fake_alias:Alias")])
    component = registry.create("scorer", "real", {})
    assert registry.name_of("scorer", component) == "demo/real"


def test_a_class_that_is_not_registered(registry):
    class Derived(DemoScorer):
        pass

    for component in (Derived(), PlainScorer()):
        with pytest.raises(ConfigurationError, match=r"register\.scorer\(") as caught:
            registry.name_of("scorer", component)
        assert type(component).__qualname__ in str(caught.value)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (NoScorer, "it lacks score"),
        (PlainScorer, "no attrs class"),
        (NamedScorer, "no setting may be called 'name'"),
        ("lungpatch.errors:NoSuchClass", "NoSuchClass"),
        ("lungpatch.errors:__doc__", "no attrs class"),
        ("lungpatch.no_such_module:X", "ModuleNotFoundError"),
    ],
)
def test_targets_that_cannot_work(target, reason):
    registry = Registry(plugins=[plugin_of(bad_one=target)])
    with pytest.raises(PluginError) as caught:
        registry.load("scorer", "bad-one")
    assert "the scorer 'bad-one' of the plugin 'demo'" in str(caught.value)
    assert reason in str(caught.value)
    rows = {row["name"]: row for row in plugin_report(registry, kind="scorer", check=True)}
    assert rows["bad-one"]["status"] == "error"
    assert reason in rows["bad-one"]["error"]


def test_contract_members_may_be_fields_without_slots():
    registry = Registry(plugins=[plugin_of(mine=SlotlessThresholder)])
    assert registry.load("thresholder", "mine") is SlotlessThresholder


def test_annotations_for_type_checkers_only_do_no_harm(tmp_path, monkeypatch):
    (tmp_path / "fake_typed.py").write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "import attrs\n"
        "from attrs.validators import instance_of\n"
        "if TYPE_CHECKING:\n"
        "    from torch import Tensor\n"
        "@attrs.define(kw_only=True, eq=False)\n"
        "class Scorer:\n"
        "    gain: float = attrs.field(default=1.0, validator=instance_of(float))\n"
        "    net_: Tensor | None = attrs.field(init=False, default=None)\n"
        "    odd: Tensor | int = 3\n"
        "    def score(self, patches, reconstruction): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(plugins=[plugin_of(typed="fake_typed:Scorer")])
    component = registry.create("scorer", "typed", {"gain": 2, "odd": 4})
    assert registry.settings(component) == {"gain": 2.0, "odd": 4}
