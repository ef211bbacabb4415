"""Exported pipelines compute what the originals do, without torch."""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import attrs
import numpy as np
import pytest

import lungpatch
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, DestinationError, SavedPipelineError
from lungpatch.features import StatisticsExtractor
from lungpatch.models import (
    PCA,
    Autoencoder,
    EnsembleModel,
    GaussianModel,
    LesionHeadModel,
    Member,
    SyntheticLesionModel,
)
from lungpatch.pipeline import pipeline_digest
from lungpatch.pipeline.export import export_onnx, exporting
from lungpatch.scorers import FeatureScorer, L2Scorer, SADScorer, SSIMScorer
from lungpatch.segmenters import OnnxSegmenter, ThresholdSegmenter, UNetSegmenter
from lungpatch.testing.samples import phantom_patches, phantom_source

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

SHIPPED = ("default", "paper")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped pipelines as folders, by name."""
    folder = tmp_path_factory.mktemp("exported")
    return {name: export_onnx(name, folder / f"{name}.lungpatch") for name in SHIPPED}


@pytest.fixture(scope="module")
def default_file(tmp_path_factory):
    return export_onnx("default", tmp_path_factory.mktemp("exported") / "default.onnx")


def sample_images():
    return [lungpatch.read_image(path) for path in lungpatch.datasets.sample().images]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_folder_detects_what_the_pipeline_does(exported, name):
    original, other = lungpatch.load_pipeline(name), lungpatch.load_pipeline(exported[name])
    assert type(other.segmenter) is OnnxSegmenter
    assert type(other.model) is lungpatch.OnnxModel
    assert pipeline_digest(other) == pipeline_digest(original)
    for image in sample_images():
        wanted, found = original.detect(image), other.detect(image)
        assert (found.lungs.pixels != wanted.lungs.pixels).sum() <= 1
        assert found.status == wanted.status
        assert found.pred_score == pytest.approx(wanted.pred_score, abs=1e-4)
        assert found.decision.pred_label == wanted.decision.pred_label
        np.testing.assert_array_equal(found.native_boxes, wanted.native_boxes)
        np.testing.assert_allclose(
            found.anomaly_map.heatmap, wanted.anomaly_map.heatmap, rtol=0, atol=1e-4
        )


def test_torch_is_not_imported(exported, tmp_path):
    image = str(lungpatch.datasets.sample().images[-1])
    code = f"""
import sys
import lungpatch
pipeline = lungpatch.load_pipeline({str(exported["default"])!r})
assert pipeline.detect({image!r}).decision is not None
detector = lungpatch.ImageDetector(pipeline={str(exported["default"])!r})
assert detector({image!r})["status"] == "ok"
counts = lungpatch.detect_folder(
    {image!r}, {str(tmp_path / "found")!r}, pipeline={str(exported["paper"])!r}, workers=1)
assert not counts.failures
sys.exit(int("torch" in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_workers_do_without_torch(exported, tmp_path):
    blocked = tmp_path / "blocked" / "torch"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('torch is blocked')")
    images = [str(path) for path in lungpatch.datasets.sample().images[:2]]
    command = [sys.executable, "-m", "lungpatch", "detect", *images, "--workers", "2"]
    command += ["--pipeline", str(exported["default"]), "--out", str(tmp_path / "found")]
    environment = {"PYTHONPATH": str(blocked.parent), "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {item.status for item in lungpatch.load_detections(tmp_path / "found")} == {"ok"}


def test_thresholds_can_be_set_anew(exported):
    pipeline = lungpatch.load_pipeline(exported["paper"])
    images = [phantom_chest(seed, size=256).image for seed in range(12)]
    site = pipeline.calibrate(images)
    assert site.calibration_.image_scores != pipeline.calibration_.image_scores
    expected = lungpatch.load_pipeline("paper").calibrate(images).calibration_
    np.testing.assert_allclose(site.calibration_.image_scores, expected.image_scores, atol=1e-4)


# ------------------------------------------------------------------------------ one file


def test_one_file_needs_nothing_but_a_runtime(default_file):
    session = onnxruntime.InferenceSession(default_file)
    pipeline = lungpatch.load_pipeline("default")
    for image in sample_images()[:3]:
        patches = pipeline.prepare(image).patches
        wanted = pipeline.scorer.score(patches, pipeline.model.reconstruct(patches)).error_maps
        inputs = {"pixels": patches.pixels, "lung": patches.lung}
        (found,) = session.run(["map"], inputs)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
        target, expected = session.run(["target", "expected"], inputs)
        np.testing.assert_allclose(target[:, 0], wanted, rtol=0, atol=1e-4)
        assert not expected.any()


def test_one_file_says_what_it_is(default_file):
    model = onnx.load(default_file)
    assert model.producer_name == "lungpatch"
    assert model.producer_version == lungpatch.__version__
    notes = {item.key: item.value for item in model.metadata_props}
    assert notes == {
        "lungpatch_version": lungpatch.__version__,
        "patch_size": "256",
        "pipeline_digest": pipeline_digest(lungpatch.load_pipeline("default")),
        "notice": "research tool, not a medical device",
    }
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)


def test_one_file_names_no_path_of_this_machine(default_file):
    content = default_file.read_bytes()
    for word in (sys.prefix, lungpatch.__path__[0], "site-packages", ".py"):
        assert word.encode() not in content


def test_a_file_is_the_model_of_a_pipeline(default_file):
    model = lungpatch.OnnxModel(patch_size=256, file=default_file)
    with phantom_source(256) as source:
        model.fit(source, rng=np.random.default_rng(0))
    patches = phantom_patches(256)
    wanted = lungpatch.load_pipeline("default").model.reconstruct(patches)
    np.testing.assert_allclose(model.reconstruct(patches).target, wanted.target, atol=1e-4)


# ------------------------------------------------------------------------- parts of all kinds


SIDE = 32


def fitted(model):
    with phantom_source(model.patch_size) as source:
        model.fit(source, rng=np.random.default_rng(0))
    return model


def lesion_head(extractor):
    return LesionHeadModel(patch_size=SIDE, extractor=extractor, passes=1)


def encoder(name, **settings):
    return lungpatch.Registry(plugins=[]).create("extractor", name, settings)


TINY = {"channels": (2, 3, 4, 5, 6), "epochs": 1, "device": "cpu"}

MODELS = {
    "autoencoder": lambda: Autoencoder(patch_size=8, base_channels=2, epochs=1, output="linear"),
    "pca": lambda: PCA(patch_size=12, n_components=3),
    "synthetic-lesion": lambda: SyntheticLesionModel(patch_size=64, shrink=2, **TINY),
    "statistics": lambda: lesion_head(
        encoder("statistics", statistics=["gradient", "grey", "deviation"], grid=10)
    ),
    "lung-encoder": lambda: lesion_head(encoder("lung-encoder", levels=(1, 3), grid=5)),
    "imagenet": lambda: lesion_head(encoder("imagenet", blocks=(2, 4), grid=4)),
    "lesion-encoder": lambda: lesion_head(
        encoder("lesion-encoder", patch_size=SIDE, grid=6, **TINY)
    ),
    "ensemble": lambda: EnsembleModel(
        members=[
            Member(model=PCA(patch_size=SIDE, n_components=3), scorer=SADScorer()),
            Member(
                model=lesion_head(encoder("lung-encoder", grid=4)),
                scorer=FeatureScorer(difference="distance", smoothing=0.1, region="patch"),
                weight=2.5,
            ),
            Member(
                model=PCA(patch_size=SIDE, n_components=2),
                scorer=FeatureScorer(difference="excess", smoothing=0.07),
            ),
        ]
    ),
}


def outputs_of(model, scorer, patches):
    """Run what would be in a file."""
    content = exporting._model_content(model, scorer, {})
    session = onnxruntime.InferenceSession(content)
    inputs = {"pixels": patches.pixels, "lung": patches.lung}
    inputs = {given.name: inputs[given.name] for given in session.get_inputs()}
    return session.run(None, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_is_exported_computes_the_same(name):
    model = fitted(MODELS[name]())
    patches = phantom_patches(model.patch_size)
    for part in (patches, patches[:1]):
        wanted = model.reconstruct(part)
        target, expected = outputs_of(model, None, part)
        np.testing.assert_allclose(target, wanted.target, rtol=0, atol=1e-4)
        np.testing.assert_allclose(expected, wanted.expected, rtol=0, atol=1e-4)


def test_a_network_of_a_library_is_exported(fake_timm):
    extractor = encoder(
        "torch-module", library="timm", model="tiny", layers=["first", "second"], grid=5
    )
    model = fitted(lesion_head(extractor))
    patches = phantom_patches(SIDE)
    target, _ = outputs_of(model, None, patches)
    np.testing.assert_allclose(target, model.reconstruct(patches).target, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "scorer",
    [
        SADScorer(),
        L2Scorer(region="patch"),
        FeatureScorer(),
        FeatureScorer(difference="excess", smoothing=0.1),
        FeatureScorer(smoothing=0.2, region="patch"),
    ],
)
def test_every_scorer_that_is_exported_computes_the_same(scorer):
    model = fitted(PCA(patch_size=24, n_components=3))
    patches = phantom_patches(24)
    wanted = scorer.score(patches, model.reconstruct(patches)).error_maps
    *_, maps = outputs_of(model, scorer, patches)
    np.testing.assert_allclose(maps, wanted, rtol=1e-4, atol=1e-4)


def test_a_network_that_is_used_twice_is_stored_once():
    def content(count):
        members = [
            Member(
                model=lesion_head(encoder("imagenet", grid=4)),
                scorer=FeatureScorer(difference="excess"),
            )
            for _ in range(count)
        ]
        return exporting._model_content(fitted(EnsembleModel(members=members)), None, {})

    once, twice = len(content(1)), len(content(2))
    assert once > 9e6  # the network
    assert twice < once + 1e6


# ----------------------------------------------------------------------------- what is refused


@pytest.fixture
def paper():
    return lungpatch.load_pipeline("paper")


def refitted(pipeline, **parts):
    """Return a fitted pipeline with other parts, as if it had been fitted with them."""
    other = attrs.evolve(pipeline, **parts)
    other._restore(pipeline.calibration_, pipeline.report_)
    return other


class OwnStatistics(StatisticsExtractor):
    """Computes something else than the extractor that it is made of."""


class Halved(SADScorer):
    """Computes something else than the scorer that it is made of."""


@pytest.mark.parametrize("out", ["new.onnx", "new.lungpatch"])
def test_a_model_that_cannot_be_exported_is_named(paper, tmp_path, out):
    extractor = encoder("statistics", grid=4)
    pipeline = refitted(paper, model=GaussianModel(patch_size=32, extractor=extractor))
    wrong = "the model GaussianModel cannot be exported to ONNX, only Autoencoder, EnsembleModel"
    with pytest.raises(ConfigurationError, match=wrong):
        export_onnx(pipeline, tmp_path / out)
    assert list(tmp_path.iterdir()) == []


def test_an_extractor_that_cannot_be_exported_is_named(paper, tmp_path):
    model = fitted(lesion_head(OwnStatistics(grid=4)))
    wrong = "the extractor OwnStatistics cannot be exported to ONNX, only ImageNetExtractor, "
    with pytest.raises(ConfigurationError, match=wrong):
        export_onnx(refitted(paper, model=model), tmp_path / "new.lungpatch")


@pytest.mark.parametrize("scorer", [SSIMScorer(), Halved()])
def test_a_scorer_stays_in_a_folder_and_is_refused_in_a_file(paper, tmp_path, scorer):
    pipeline = refitted(paper, scorer=scorer)
    with pytest.raises(ConfigurationError, match=f"the scorer {type(scorer).__name__} cannot be"):
        export_onnx(pipeline, tmp_path / "new.onnx")
    if isinstance(scorer, SSIMScorer):
        export_onnx(pipeline, tmp_path / "new.lungpatch")
        exported = lungpatch.load_pipeline(tmp_path / "new.lungpatch")
        assert isinstance(exported.scorer, SSIMScorer)


def test_another_segmenter_stays_and_settings_go_on(paper, tmp_path):
    other = refitted(paper, segmenter=ThresholdSegmenter())
    path = export_onnx(other, tmp_path / "threshold.lungpatch")
    assert isinstance(lungpatch.load_pipeline(path).segmenter, ThresholdSegmenter)
    assert not (path / "segmenter.safetensors").exists()

    averaging = refitted(paper, segmenter=UNetSegmenter(flip_average=True, device="cpu"))
    path = export_onnx(averaging, path)
    exported = lungpatch.load_pipeline(path)
    assert exported.segmenter.flip_average is True
    image = sample_images()[0]
    np.testing.assert_allclose(
        exported.segmenter.probability(image), averaging.segmenter.probability(image), atol=1e-4
    )


@pytest.mark.parametrize("out", ["new.onnx", "new.lungpatch"])
def test_a_difference_leaves_nothing_on_disk(paper, tmp_path, monkeypatch, out):
    original = type(paper.model).reconstruct

    def other(self, patches):
        found = original(self, patches)
        return attrs.evolve(found, expected=found.expected + np.float32(3e-4))

    monkeypatch.setattr(type(paper.model), "reconstruct", other)
    wrong = r"the output 'expected' of the exported model differs by 0\.0003 from"
    with pytest.raises(ConfigurationError, match=wrong):
        export_onnx(paper, tmp_path / out)
    assert list(tmp_path.iterdir()) == []


def test_the_pipeline_stays_as_it_is(paper, tmp_path):
    paper.model.precision = "bfloat16"
    before = copy.deepcopy(lungpatch.pipeline.pipeline_settings(paper))
    export_onnx(paper, tmp_path / "new.onnx")
    assert lungpatch.pipeline.pipeline_settings(paper) == before
    assert paper.is_fitted


def test_places_that_are_taken_are_left_alone(paper, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(DestinationError, match="a folder is there already"):
        export_onnx(paper, tmp_path / "folder.onnx")
    (tmp_path / "thesis").mkdir()
    with pytest.raises(SavedPipelineError, match="something else is there"):
        export_onnx(paper, tmp_path / "thesis")


@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_told_first(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=re.escape(f"needs {name}, which is not installed")):
        export_onnx("nowhere.lungpatch", tmp_path / "new.onnx")
