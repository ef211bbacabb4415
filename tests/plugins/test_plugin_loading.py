"""Plugins as pip installs them: a `dist-info` folder and a module, on a path of the test's own."""

import importlib
import json
import subprocess
import sys
import types
from typing import get_args

import pytest

import lungpatch
from lungpatch.errors import AmbiguousComponentError, PluginError, UnknownComponentError
from lungpatch.plugins.hookspecs import KINDS, Register
from lungpatch.plugins.registry import Registry, plugin_report
from lungpatch.protocols import Kind

HOOK = "import lungpatch\n\n\n@lungpatch.hookimpl\ndef lungpatch_register(register):\n    "
GOOD = HOOK + 'register.scorer("gms", "fake_gms_scorer:GMS", summary="Difference of edges.")\n'


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a plugin: `install(distribution, {entry: (module, source)})`."""
    monkeypatch.delenv("LUNGPATCH_PLUGINS", raising=False)
    before = set(sys.modules)

    def install(distribution, entry_points, *, version="1.0", site="site"):
        folder = tmp_path / site
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = [f"{name} = {module}\n" for name, (module, _) in entry_points.items()]
        (info / "entry_points.txt").write_text("[lungpatch]\n" + "".join(lines))
        for module, source in entry_points.values():
            (folder / f"{module}.py").write_text(source)
        if str(folder) not in sys.path:
            monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
        importlib.invalidate_caches()
        return folder

    yield install
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


def failures(registry):
    return {failure.plugin_id: failure.error for failure in registry.failures()}


def found(registry):
    return {entry.full_name for entry in registry.entries()}


def register_in(body, name="private"):
    """Make a plugin module whose hook's body is `body`."""
    plugin = types.ModuleType(name)
    exec(HOOK + body, plugin.__dict__)
    return plugin


def test_a_plugin_is_found_and_attributed(install):
    install("Fake_Heart.Plugin", {"gms": ("fake_gms", GOOD)}, version="2.1")
    entry = Registry().find("scorer", "gms")
    assert entry.plugin_id == "fake-heart-plugin:gms"
    assert entry.full_name == "fake-heart-plugin:gms/gms"
    assert (entry.kind, entry.name, entry.version) == ("scorer", "gms", "2.1")
    assert (entry.target, entry.summary) == ("fake_gms_scorer:GMS", "Difference of edges.")
    assert "fake-heart-plugin:gms" in {plugin.plugin_id for plugin in Registry().plugins()}


def test_equal_entry_point_names_both_load(install):
    install("fake-a", {"plugin": ("fake_a", GOOD)})
    install("fake-b", {"plugin": ("fake_b", GOOD.replace("gms", "edges"))})
    registry = Registry()
    assert {"fake-a:plugin/gms", "fake-b:plugin/edges"} <= found(registry)
    assert registry.find("scorer", "gms").plugin_id == "fake-a:plugin"
    assert registry.find("scorer", "edges").plugin_id == "fake-b:plugin"


@pytest.mark.parametrize(
    ("source", "reasons"),
    [
        ("import fake_missing_dependency\n", ["ModuleNotFoundError", "fake_missing_dependency"]),
        ("1 / 0\n", ["ZeroDivisionError: division by zero", "fake_bad.py, line 1"]),
        ("raise SystemExit(3)\n", ["SystemExit: 3"]),
        ("def oops(:\n", ["SyntaxError", "fake_bad.py"]),
        (GOOD.replace("lungpatch_register", "lungpatch_regster"), ["lungpatch_regster", "only"]),
        (GOOD.replace("(register)", "(reg)"), ["reg", "lungpatch_register(register)"]),
        (GOOD.replace("@lungpatch.hookimpl\n", ""), ["decorate it with @lungpatch.hookimpl"]),
        ("", ["has no hook"]),
        (HOOK + "pass\n", ["registers nothing"]),
        (HOOK + "raise ValueError('no luck')\n", ["ValueError: no luck", "line 6"]),
        (GOOD.replace("register.scorer", "register.scorrer"), ["did you mean 'scorer'?"]),
        (
            GOOD.replace("summary", "sumary"),
            [
                "no argument 'sumary'",
                "register.scorer(name, target, *, summary)",
                "fake_bad.py, line 6",
            ],
        ),
        (GOOD.replace(', summary="Difference of edges."', ""), ["missing", "'summary'"]),
        (GOOD.replace("summary=", ""), ["too many positional", "*, summary"]),
        (GOOD + GOOD.splitlines()[-1], ["'gms'", "twice"]),
    ],
)
def test_a_broken_plugin_does_not_affect_the_others(install, source, reasons):
    install("fake-a", {"first": ("fake_first", GOOD.replace("gms", "first"))})
    install("fake-b", {"bad": ("fake_bad", source)})
    install("fake-c", {"last": ("fake_last", GOOD.replace("gms", "last"))})
    registry = Registry()
    assert set(failures(registry)) == {"fake-b:bad"}
    for reason in reasons:
        assert reason in failures(registry)["fake-b:bad"]
    assert {"lungpatch/sad", "fake-a:first/first", "fake-c:last/last"} <= found(registry)
    assert not any("fake-b" in name for name in found(registry))
    rows = [row for row in plugin_report(registry) if row["plugin"] == "fake-b:bad"]
    assert [row["status"] for row in rows] == ["error"]
    assert rows[0]["version"] == "1.0"
    json.dumps(rows)


def test_ctrl_c_is_not_swallowed(install):
    install("fake-a", {"bad": ("fake_bad", "raise KeyboardInterrupt\n")})
    with pytest.raises(KeyboardInterrupt):
        Registry().entries()


def test_nothing_stays_of_a_registration_that_fails_half_way(install):
    install("fake-a", {"half": ("fake_half", GOOD + "    raise RuntimeError('half-way')\n")})
    registry = Registry()
    assert "half-way" in failures(registry)["fake-a:half"]
    assert "gms" not in registry.names("scorer")


def test_an_entry_point_must_be_a_module(install):
    folder = install("fake-a", {"gms": ("fake_gms", GOOD)})
    points = folder / "fake_a-1.0.dist-info" / "entry_points.txt"
    points.write_text("[lungpatch]\ngms = fake_gms:lungpatch_register\n")
    assert "must be a module" in failures(Registry())["fake-a:gms"]


def test_one_module_under_two_entry_points_is_loaded_once(install):
    install("fake-a", {"one": ("fake_gms", GOOD), "two": ("fake_gms", GOOD)})
    registry = Registry()
    assert registry.find("scorer", "gms").plugin_id == "fake-a:one"
    assert "already loaded as 'fake-a:one'" in failures(registry)["fake-a:two"]


def test_unreadable_metadata_is_a_failure(install):
    folder = install("fake-a", {"gms": ("fake_gms", GOOD)})
    (folder / "fake_a-1.0.dist-info" / "entry_points.txt").write_text("[lungpatch]\nno equals\n")
    (folder / "nameless-1.0.dist-info").mkdir()
    (folder / "nameless-1.0.dist-info" / "entry_points.txt").write_text("[lungpatch]\nx = y\n")
    install("fake-b", {"edges": ("fake_edges", GOOD)})
    registry = Registry()
    assert "metadata" in failures(registry)["fake-a"]
    assert str(folder) in failures(registry)["unknown distribution"]
    assert registry.find("scorer", "gms").plugin_id == "fake-b:edges"


def test_a_distribution_found_twice_is_loaded_once(install):
    install("fake-a", {"gms": ("fake_gms", GOOD)}, version="2.0", site="editable")
    install("fake-a", {"gms": ("fake_gms", GOOD)}, version="1.0", site="installed")
    registry = Registry()
    assert [e.version for e in registry.entries("scorer") if e.name == "gms"] == ["2.0"]
    assert "fake-a:gms" not in failures(registry)


def test_one_name_in_two_plugins_is_ambiguous(install):
    install("fake-a", {"x": ("fake_a", GOOD)})
    install("fake-b", {"x": ("fake_b", GOOD)})
    registry = Registry()
    with pytest.raises(AmbiguousComponentError, match=r"'fake-a:x/gms' and 'fake-b:x/gms'"):
        registry.find("scorer", "gms")
    assert registry.find("scorer", "fake-b:x/gms").plugin_id == "fake-b:x"
    assert {"fake-a:x/gms", "fake-b:x/gms"} <= set(registry.names("scorer"))
    assert {"fake-a:x/gms", "fake-b:x/gms"} <= {row["name"] for row in plugin_report(registry)}


def test_built_ins_keep_their_bare_names(install):
    install("fake-a", {"x": ("fake_a", GOOD.replace('"gms"', '"sad"'))})
    registry = Registry()
    assert registry.find("scorer", "sad").plugin_id == "lungpatch"
    assert registry.find("scorer", "fake-a:x/sad").plugin_id == "fake-a:x"
    assert {"sad", "fake-a:x/sad"} <= set(registry.names("scorer"))


def test_equal_names_of_different_kinds_do_not_meet():
    registry = Registry(plugins=[])
    assert registry.find("model", "unet").target == "lungpatch.models:UNet"
    assert registry.find("segmenter", "unet").target == "lungpatch.segmenters:UNetSegmenter"


def test_an_unknown_name_says_what_there_is_and_what_failed(install):
    install("fake-a", {"x": ("fake_a", "import fake_missing_dependency\n")})
    with pytest.raises(UnknownComponentError) as caught:
        Registry().find("scorer", "sadd")
    message = str(caught.value)
    assert "no scorer 'sadd'; did you mean 'sad'?" in message
    assert "l2, sad, ssim" in message
    assert "fake-a:x" in message
    assert "fake_missing_dependency" in message


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", set()),
        ("lungpatch", set()),
        ("fake-a", {"fake-a:x/one", "fake-a:y/two"}),
        ("Fake_A:y", {"fake-a:y/two"}),
        (" fake-a:x , fake-b ", {"fake-a:x/one", "fake-b:x/three"}),
    ],
)
def test_the_environment_restricts(install, monkeypatch, setting, expected):
    def plugin(name):
        return GOOD.replace('"gms"', f'"{name}"')

    install("fake-a", {"x": ("fake_one", plugin("one")), "y": ("fake_two", plugin("two"))})
    install("fake-b", {"x": ("fake_three", plugin("three"))})
    install("fake-c", {"x": ("fake_broken", "1 / 0\n")})
    monkeypatch.setenv("LUNGPATCH_PLUGINS", setting)
    registry = Registry()
    builtin = found(Registry(plugins=[]))
    assert found(registry) - builtin == expected
    assert builtin <= found(registry)
    assert failures(registry) == {}
    assert "fake_broken" not in sys.modules


def test_the_environment_names_a_plugin_that_is_not_installed(install, monkeypatch):
    monkeypatch.setenv("LUNGPATCH_PLUGINS", "fake-nowhere")
    assert "no such plugin is installed" in failures(Registry())["fake-nowhere"]


def test_nothing_is_imported_before_it_is_used(install):
    folder = install("fake-a", {"x": ("fake_gms", GOOD)})
    (folder / "fake_gms_scorer.py").write_text("1 / 0\n")
    registry = Registry()
    assert "fake_gms" not in sys.modules
    registry.find("scorer", "gms")
    assert "fake_gms" in sys.modules
    assert "fake_gms_scorer" not in sys.modules
    with pytest.raises(PluginError) as caught:
        registry.load("scorer", "gms")
    for part in ("'fake-a:x'", "fake_gms_scorer:GMS", "ZeroDivisionError", "line 1"):
        assert part in str(caught.value)
    rows = {row["full_name"]: row for row in plugin_report(registry, kind="scorer", check=True)}
    assert "division by zero" in rows["fake-a:x/gms"]["error"]
    assert rows["lungpatch/sad"]["status"] == "ok"


def test_private_registries_hold_what_they_are_given(install):
    install("fake-a", {"x": ("fake_a", GOOD)})

    class Plugin:
        @lungpatch.hookimpl
        def lungpatch_register(self, register):
            register.sampler("spiral", "my.sampler:Spiral", summary="Patches along a spiral.")

    module = register_in('register.scorer("gms", "a:B", summary="Edges.")', name="my_plugin")
    registry = Registry(plugins=[module, Plugin()])
    assert registry.find("scorer", "gms").full_name == "my_plugin/gms"
    assert registry.find("sampler", "spiral").plugin_id.endswith(":Plugin")
    assert registry.failures() == []
    assert "fake_a" not in sys.modules


def test_two_private_plugins_of_one_name():
    body = 'register.scorer("gms", "a:B", summary="Edges.")'
    registry = Registry(plugins=[register_in(body, "mine"), register_in(body, "mine")])
    assert registry.find("scorer", "gms").full_name == "mine/gms"
    assert "two plugins 'mine'" in failures(registry)["mine"]


@pytest.mark.parametrize("name", ["", "GMS", "2d", "my_scorer", "a/b", "a b", "gms\n", None, 3])
def test_names_that_are_refused(name):
    with pytest.raises(PluginError, match="a name is a lower-case letter"):
        Register("p", None).scorer(name, "a:B", summary="Edges.")


@pytest.mark.parametrize(
    "target", ["", "a", "a:", ":B", "a.b", "a:B:C", "a-b:C", "a..b:C", 3, None]
)
def test_targets_that_are_refused(target):
    with pytest.raises(PluginError, match="'package.module:Class' or a class"):
        Register("p", None).scorer("gms", target, summary="Edges.")


@pytest.mark.parametrize("summary", ["", "  ", "two\nlines", None, 3])
def test_summaries_that_are_refused(summary):
    with pytest.raises(PluginError, match="one line of text"):
        Register("p", None).scorer("gms", "a:B", summary=summary)


def test_one_name_may_serve_two_kinds_of_one_plugin():
    register = Register("p", None)
    register.model("unet", "a:Model", summary="Edges.")
    register.segmenter("unet", "a:Segmenter", summary="Edges.")
    assert [entry.kind for entry in register.entries] == ["model", "segmenter"]


def test_kinds_agree_with_the_contracts():
    assert get_args(Kind) == KINDS
    assert all(callable(getattr(Register("p", None), kind)) for kind in KINDS)


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, json, lungpatch\n"
        "from lungpatch.plugins.registry import default_registry, plugin_report\n"
        "print(json.dumps(plugin_report(default_registry())))\n"
        "heavy = {'numpy', 'scipy', 'torch', 'skimage', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "rooms = ('segmenters', 'samplers', 'features', 'models', 'scorers', 'thresholders')\n"
        "assert not [room for room in rooms if f'lungpatch.{room}' in sys.modules]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "multi-otsu" in {row["name"] for row in json.loads(done.stdout)}


def test_importing_does_not_look_for_plugins(install):
    folder = install("fake-a", {"x": ("fake_bad", "raise SystemExit(3)\n")})
    code = f"import sys; sys.path.append({str(folder)!r})\nimport lungpatch; lungpatch.Registry()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
