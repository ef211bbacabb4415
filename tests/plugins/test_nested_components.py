"""Components whose settings are components: by name in tables, and as objects in Python."""

import json
import types

import attrs
import pytest

import lungpatch
from lungpatch.errors import ConfigurationError, LungpatchError, SavedPipelineError
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.models.ensemble import EnsembleModel, Member
from lungpatch.models.pca import PCA
from lungpatch.pipeline import pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline, load_config
from lungpatch.plugins.registry import Registry
from lungpatch.plugins.settings import inner_components
from lungpatch.scorers.l2 import L2Scorer
from lungpatch.scorers.sad import SADScorer
from lungpatch.testing import check_scorer, temporary_plugin

MEMBERS = [
    {"model": {"name": "pca", "patch_size": 16, "n_components": 4}, "scorer": {"name": "sad"}},
    {
        "model": {"name": "pca", "patch_size": 16, "n_components": 2},
        "scorer": {"name": "l2", "region": "patch"},
        "weight": 3,
    },
]


@attrs.define(kw_only=True, eq=False)
class SumScorer:
    """The score of another scorer, or 0 without one."""

    inner: object = attrs.field(default=None, metadata={"component": "scorer"})
    gain: float = 1.0

    def score(self, patches, reconstruction):
        return (self.inner or SADScorer()).score(patches, reconstruction)


@attrs.define(kw_only=True, eq=False)
class OtherScorer:
    inner: object = attrs.field(factory=SADScorer, metadata={"component": "scorer"})

    def score(self, patches, reconstruction):
        return self.inner.score(patches, reconstruction)


@lungpatch.hookimpl
def lungpatch_register(register):
    register.scorer("sum", SumScorer, summary="For tests.")


@pytest.fixture
def registry():
    plugin = types.ModuleType("demo")
    plugin.lungpatch_register = lungpatch_register
    return Registry(plugins=[plugin])


def test_tables_become_components(registry):
    model = registry.create("model", "ensemble", {"members": MEMBERS})
    assert [type(member.scorer) for member in model.members] == [SADScorer, L2Scorer]
    assert [member.model.n_components for member in model.members] == [4, 2]
    assert [member.weight for member in model.members] == [1.0, 3.0]


def test_python_and_tables_have_the_same_settings(registry):
    made = EnsembleModel(
        members=[
            Member(model=PCA(patch_size=16, n_components=4), scorer=SADScorer()),
            Member(
                model=PCA(patch_size=16, n_components=2),
                scorer=L2Scorer(region="patch"),
                weight=3.0,
            ),
        ]
    )
    settings = registry.settings(made)
    assert settings["members"][0]["scorer"] == {
        "name": "lungpatch/sad",
        "reduction": "mean",
        "region": "lung",
    }
    assert settings == registry.settings(registry.create("model", "ensemble", {"members": MEMBERS}))
    again = registry.create("model", "ensemble", json.loads(json.dumps(settings)))
    assert registry.settings(again) == settings


def test_components_within_components(registry):
    deep = {"name": "sum", "inner": {"name": "demo/sum", "inner": {"name": "l2"}, "gain": 2}}
    scorer = registry.create_from_table("scorer", deep, path="scorer")
    assert scorer.inner.gain == 2.0
    assert isinstance(scorer.inner.inner, L2Scorer)
    assert [path for path, _, _ in inner_components(scorer)] == ["inner", "inner.inner"]
    assert registry.settings(SumScorer()) == {"inner": None, "gain": 1.0}
    assert registry.create("scorer", "sum", {"inner": None}).inner is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wieght": 1}, "[model.members[1]]: this table has no setting 'wieght'; did you mean"),
        ({"weight": 0}, "[model.members[1]]: this table: 'weight' must be > 0"),
        ({"weight": "1"}, "[model.members[1]]: this table: 'weight' must be float"),
        ({"model": 3}, "[model.members[1].model] must be a table, got 3"),
        ({"model": {}}, "[model.members[1].model] needs a name, one of: "),
        (
            {"model": {"name": "pac"}},
            "[model.members[1].model]: there is no model 'pac'; did you mean 'pca'",
        ),
        (
            {"scorer": {"name": "sad", "reduktion": "sum"}},
            "[model.members[1].scorer]: scorer 'sad' has no setting 'reduktion'; did you mean "
            "'reduction'",
        ),
        (
            {"scorer": {"name": "sad", "region": "lnug"}},
            "[model.members[1].scorer]: scorer 'sad': 'region' must be in",
        ),
    ],
)
def test_mistakes_are_named_by_their_path(fast_tables, change, message):
    members = [MEMBERS[0], MEMBERS[1] | change]
    fast_tables["model"] = {"name": "ensemble", "members": members}
    with pytest.raises(LungpatchError) as caught:
        build_pipeline(fast_tables, origin="mine.toml")
    assert str(caught.value).startswith(f"mine.toml: {message}")


def test_a_member_that_is_missing(fast_tables):
    fast_tables["model"] = {"name": "ensemble", "members": [{"model": MEMBERS[0]["model"]}]}
    with pytest.raises(ConfigurationError, match=r"members\[0\]\]: .* needs the setting 'scorer'"):
        build_pipeline(fast_tables, origin="test")


@pytest.mark.parametrize("members", [{"name": "pca"}, "pca", ["pca"], 3])
def test_what_is_no_list_of_tables(fast_tables, members):
    fast_tables["model"] = {"name": "ensemble", "members": members}
    with pytest.raises(ConfigurationError, match=r"\[model\.members\] must be a list of tables"):
        build_pipeline(fast_tables, origin="test")


def test_errors_of_the_outer_component_name_its_table(fast_tables):
    other = {**MEMBERS[0], "model": {"name": "pca", "patch_size": 8}}
    fast_tables["model"] = {"name": "ensemble", "members": [MEMBERS[0], other]}
    with pytest.raises(ConfigurationError, match=r"^test: \[model\]: model 'ensemble': the"):
        build_pipeline(fast_tables, origin="test")


def test_from_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        """
preset = "paper"
[model]
name = "ensemble"
[[model.members]]
[model.members.model]
name = "pca"
[model.members.scorer]
name = "sad"
[[model.members]]
weight = 0.5
model = {name = "pca", n_components = 2}
scorer = {name = "l2"}
"""
    )
    model = load_config(path).model
    assert [member.weight for member in model.members] == [1.0, 0.5]


def test_a_file_changes_a_nested_setting(tmp_path, monkeypatch):
    preset = tmp_path / "base.toml"
    preset.write_text('[scorer]\nname = "sum"\ngain = 2.0\n[scorer.inner]\nname = "sad"\n')
    base = {"scorer": {"name": "sum", "gain": 2.0, "inner": {"name": "sad", "region": "patch"}}}
    paper = pipeline_settings(lungpatch.load_preset("paper"))
    monkeypatch.setattr(
        lungpatch.pipeline.configuration, "_preset_tables", lambda name: paper | base
    )
    path = tmp_path / "mine.toml"
    with temporary_plugin(lungpatch_register):
        path.write_text('preset = "paper"\n[scorer.inner]\nreduction = "sum"\n')
        scorer = load_config(path).scorer
        assert (scorer.gain, scorer.inner.reduction, scorer.inner.region) == (2.0, "sum", "patch")
        path.write_text('preset = "paper"\n[scorer.inner]\nname = "l2"\n')
        assert load_config(path).scorer.inner.region == "lung"


def test_saved_pipelines_name_the_plugins_of_nested_components(fast_tables, cohort, tmp_path):
    fast_tables["scorer"] = {"name": "sum", "inner": {"name": "l2"}}
    with temporary_plugin(lungpatch_register):
        pipeline = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
        path = pipeline.save(tmp_path / "p.lungpatch")
        loaded = lungpatch.load_pipeline(path)
        assert isinstance(loaded.scorer.inner, L2Scorer)
        assert pipeline_settings(loaded) == pipeline_settings(pipeline)
    plugins = json.loads((path / "pipeline.json").read_text())["plugins"]
    assert plugins["scorer"]["plugin"].startswith("temporary-plugin:")
    assert plugins["scorer.inner"]["plugin"] == "lungpatch"
    with pytest.raises(SavedPipelineError, match="install with pip: temporary-plugin"):
        lungpatch.load_pipeline(path)


def test_a_nested_class_that_is_not_registered(registry):
    with pytest.raises(ConfigurationError, match=r"SumScorer is not registered as a scorer"):
        Registry(plugins=[]).settings(
            EnsembleModel(members=[Member(model=PCA(), scorer=SumScorer())])
        )


def test_conformance_of_a_component_that_holds_another_of_its_plugin():
    check_scorer(SumScorer(inner=OtherScorer())).raise_on_failure()


def test_extractors_are_components_like_the_others():
    registry = Registry(plugins=[])
    assert isinstance(registry.create("extractor", "statistics", {}), StatisticsExtractor)
    assert "statistics" in registry.names("extractor")
