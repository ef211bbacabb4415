import json

import pytest

import lungpatch
from lungpatch.errors import ConfigurationError, MissingInputError
from lungpatch.pipeline import pipeline_settings
from lungpatch.pipeline.configuration import build_pipeline, parse_settings, preset_names


def _config(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paper_preset_is_the_papers():
    pipeline = lungpatch.load_preset("paper")
    assert pipeline.grid_size == 256
    assert (pipeline.fit_sampler.patch_size, pipeline.fit_sampler.stride) == (32, 20)
    assert pipeline.fit_sampler.min_lung_fraction == 1.0
    assert pipeline.model.patch_size == 32


def test_settings_are_json_and_build_the_same_pipeline(fast_tables):
    settings = pipeline_settings(build_pipeline(fast_tables, origin="test"))
    again = build_pipeline(json.loads(json.dumps(settings)), origin="test")
    assert pipeline_settings(again) == settings


def test_a_file_changes_only_what_it_names(tmp_path):
    path = _config(
        tmp_path,
        'preset = "paper"\n[pipeline]\nseed = 7\n[model]\nloss = "l1"\n'
        '[thresholder]\nname = "conformal"\nalpha = 0.1\n',
    )
    pipeline, preset = lungpatch.load_config(path), lungpatch.load_preset("paper")
    assert pipeline.seed == 7
    assert pipeline.model.loss == "l1"
    assert pipeline.model.epochs == preset.model.epochs
    assert type(pipeline.thresholder).__name__ == "ConformalThresholder"
    assert pipeline.thresholder.alpha == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pipeline", "not a readable TOML file"),
        ('preset = "papr"', "no preset 'papr'; there is: default, paper"),
        (
            'preset = "paper"\n[scorrer]\nname = "sad"',
            "unknown table 'scorrer'; did you mean 'scorer'",
        ),
        ('preset = "paper"\n[pipeline]\nsede = 1', "unknown setting 'sede'; did you mean 'seed'"),
        ('preset = "paper"\n[sampler]\nstrid = 4', "did you mean 'stride'"),
        ('preset = "paper"\n[sampler]\nmin_lung_fraction = 1.5', "min_lung_fraction"),
        ('preset = "paper"\n[pipeline]\nworking_size = 3', "grid_size"),
        ('preset = "paper"\n[pipeline]\nimage_score = "p96"', "image_score"),
        ('preset = "paper"\n[model]\npatch_size = 64', "patch_size must be the same everywhere"),
        ('preset = "paper"\n[model]\nloss = "l3"', "loss"),
        ('preset = "paper"\nmodel = 3', "must be a table"),
        ('[model]\nname = "unet"', "no table"),
        ('preset = "paper"\n[thresholder]\nname = "quantil"', "quantil"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(lungpatch.LungpatchError, match="(?s)mine.toml|preset") as caught:
        lungpatch.load_config(_config(tmp_path, text))
    assert message in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere.toml"):
        lungpatch.load_config(tmp_path / "nowhere.toml")


def test_a_component_needs_a_name(fast_tables):
    del fast_tables["scorer"]["name"]
    with pytest.raises(ConfigurationError, match=r"\[scorer\] needs a name, one of: .*sad"):
        build_pipeline(fast_tables, origin="test")


def test_every_preset_builds():
    assert "paper" in preset_names()
    for name in preset_names():
        assert not lungpatch.load_preset(name).is_fitted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("cpu", "cpu"),
        ("a = b", "a = b"),
    ],
)
def test_settings_on_the_command_line_are_read_as_in_toml(text, value):
    assert parse_settings([f"key={text}"]) == {"key": value}


@pytest.mark.parametrize("text", ["key", "=3", " =3"])
def test_a_setting_without_key_or_value_is_refused(text):
    with pytest.raises(ConfigurationError, match="KEY=VALUE"):
        parse_settings([text])
