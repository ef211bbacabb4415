from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

import lungpatch
from lungpatch.errors import (
    ConfigurationError,
    InsufficientDataError,
    InvalidImageError,
    NotFittedError,
)
from lungpatch.pipeline import PreparedImage, ScoredImage
from lungpatch.pipeline.cohort import patients_of
from lungpatch.pipeline.configuration import build_pipeline


def _equal(one, other):
    np.testing.assert_array_equal(one.scores.values, other.scores.values)
    np.testing.assert_array_equal(one.anomaly_map.heatmap, other.anomaly_map.heatmap)
    np.testing.assert_array_equal(one.native_boxes, other.native_boxes)
    assert one.decision == other.decision


def test_detection_holds_every_step(fitted, cohort):
    path = sorted((cohort / "opacity").iterdir())[0]
    detection = fitted.detect(path)
    assert detection.image.shape == detection.native_heatmap.shape == detection.native_lungs.shape
    assert detection.resized.shape == detection.anomaly_map.heatmap.shape == (128, 128)
    count = len(detection.patches)
    assert count == len(detection.scores) == len(detection.reconstruction) > 0
    assert detection.decision.threshold == fitted.calibration_.threshold
    assert detection.localisation.threshold == fitted.calibration_.region_threshold
    # Scores are over lung pixels only, so nothing outside the lungs has a score.
    assert not (detection.anomaly_map.scored & ~detection.lungs.pixels).any()


def test_boxes_hold_exactly_what_is_above_the_threshold(saved, cohort):
    pipeline = lungpatch.load_pipeline(saved)
    # Low enough that there are boxes.
    middle = pipeline.calibration_.colour_scale.low
    pipeline._calibration = attrs.evolve(pipeline.calibration_, region_threshold=middle)
    boxed = 0
    for result in pipeline.detect_many(cohort / "opacity"):
        covered = np.zeros(result.image.shape, bool)
        for row0, col0, row1, col1 in result.native_boxes:
            covered[row0:row1, col0:col1] = True
        with np.errstate(invalid="ignore"):
            above = result.native_heatmap > middle
        assert not (above & ~covered).any()
        boxed += len(result.native_boxes)
    assert boxed


def test_path_array_and_image_agree(fitted, cohort):
    path = sorted((cohort / "opacity").iterdir())[0]
    image = lungpatch.read_image(path)
    expected = fitted.detect(path)
    _equal(fitted.detect(image), expected)
    _equal(fitted.detect(image.pixels, value_range=(0, 1)), expected)
    _equal(fitted.detect(torch.from_numpy(image.pixels.copy()), value_range=(0, 1)), expected)
    grey = np.round(image.pixels * 255).astype(np.uint8)
    _equal(fitted.detect(grey), expected)


def test_a_range_of_levels_is_for_arrays(fitted, cohort):
    path = sorted((cohort / "normal").iterdir())[0]
    for image in (path, str(path), lungpatch.read_image(path)):
        with pytest.raises(ConfigurationError, match="value_range is for arrays.*leave it out"):
            fitted.detect(image, value_range=(0, 255))


def test_many_equals_one_by_one(fitted, cohort):
    paths = sorted((cohort / "opacity").iterdir())
    for path, result in zip(paths, fitted.detect_many(paths, batch_size=3), strict=True):
        alone = fitted.detect(path)
        np.testing.assert_allclose(result.scores.values, alone.scores.values, rtol=1e-5)


def test_a_bad_image_does_not_affect_the_others(fitted, cohort, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    good = sorted((cohort / "opacity").iterdir())[0]
    first, second, third = fitted.detect_many([good, bad, good])
    assert first.status == third.status == "ok"
    assert isinstance(second, lungpatch.Failure)
    assert second.source == str(bad)
    assert "bad.png" in str(second.error)
    with pytest.raises(InvalidImageError, match=r"bad\.png"):
        fitted.detect(bad)


def test_an_image_without_lungs_is_never_scored(fitted):
    bright = np.full((200, 200), 250, np.uint8)
    bright[::7] = 245
    (detection,) = fitted.detect_many([bright])
    assert detection.status == "no_lungs"
    assert detection.decision is None
    assert np.isnan(detection.native_heatmap).all()
    assert len(detection.native_boxes) == 0


def test_same_seed_same_result(fast_tables, cohort, fitted):
    again = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    assert again.calibration_ == fitted.calibration_
    assert again.report_.training_digest == fitted.report_.training_digest
    fast_tables["pipeline"]["seed"] = 2
    other = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    assert other.calibration_ != fitted.calibration_
    assert other.report_.training_digest == fitted.report_.training_digest


def test_report_counts_what_was_used(fast_tables, cohort, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    paths = [bad, *sorted((cohort / "normal").iterdir())]
    report = build_pipeline(fast_tables, origin="test").fit(paths).report_
    assert sum(report.images.values()) == 12
    assert [unused.source for unused in report.unused] == [str(bad)]
    assert report.patches["training"] > report.patches["validation"] > 0
    assert report.identity_shortcut["shortcut"] > 0


def test_no_patient_is_on_two_sides(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    owners = {path.name: f"patient {index // 3}" for index, path in enumerate(paths)}
    report = build_pipeline(fast_tables, origin="test").fit(paths, patients=owners).report_
    assert sum(report.patients.values()) == 4
    assert all(report.images[role] == 3 * n for role, n in report.patients.items())


def test_patients_must_be_complete(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    with pytest.raises(ConfigurationError, match=paths[1].name):
        build_pipeline(fast_tables, origin="test").fit(paths, patients={paths[0].name: "a"})


def test_patients_are_a_mapping(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    for wrong in (["a"] * len(paths), {"a"}, "table.csv"):
        with pytest.raises(ConfigurationError, match="a mapping of file name to patient"):
            build_pipeline(fast_tables, origin="test").fit(paths, patients=wrong)
    with pytest.raises(ConfigurationError, match="got the key 3"):
        build_pipeline(fast_tables, origin="test").fit(paths, patients={3: "a"})


def test_patients_by_path_count_by_name():
    assert patients_of(["x/a.png", Path("x/b.png")], {Path("x/a.png"): "1", "y/b.png": 2}) == [
        "1",
        "2",
    ]
    # Two files of one name: the path tells, if it is the one that was given.
    table = {"x/a.png": "1", "y/a.png": "2"}
    assert patients_of(["y/a.png", "x/a.png"], table) == ["2", "1"]
    with pytest.raises(ConfigurationError, match=r"'a\.png' to the patients 1 and 2: rename"):
        patients_of(["z/a.png"], table)
    image = lungpatch.ChestImage(pixels=np.zeros((8, 8), np.float32), image_id="ward/7.1")
    assert patients_of([image], {"ward/7.1": "3"}) == ["3"]


@pytest.mark.parametrize("size", [1.5, None, "4", True, 0])
def test_a_batch_is_a_whole_number_of_images(fitted, size):
    with pytest.raises(ConfigurationError, match="batch_size must be a whole number, at least 1"):
        fitted.detect_many([], batch_size=size)


def test_use_before_fit(fast_tables, cohort, tmp_path):
    pipeline = build_pipeline(fast_tables, origin="test")
    with pytest.raises(NotFittedError, match="call fit"):
        pipeline.detect(sorted((cohort / "opacity").iterdir())[0])
    with pytest.raises(NotFittedError, match="call fit"):
        pipeline.detect_many(cohort / "opacity")
    with pytest.raises(NotFittedError, match="call fit"):
        pipeline.save(tmp_path / "p.lungpatch")


def test_too_few_images(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    with pytest.raises(InsufficientDataError, match="at least 3 patients"):
        build_pipeline(fast_tables, origin="test").fit(paths[:2])


def test_conformal_says_how_many_it_needs_before_any_work(fast_tables, cohort):
    fast_tables["thresholder"] = {"name": "conformal", "alpha": 0.05}
    with pytest.raises(InsufficientDataError, match="Give at least 38"):
        build_pipeline(fast_tables, origin="test").fit(cohort / "normal")


def test_conformal_takes_the_patients_that_it_needs(fast_tables, cohort):
    fast_tables["thresholder"] = {"name": "conformal", "alpha": 0.2}
    pipeline = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    assert pipeline.report_.patients["calibration"] == 4


def test_a_thresholder_that_uses_labels_is_refused(fast_tables, cohort):
    fast_tables["thresholder"] = {"name": "youden"}
    with pytest.raises(ConfigurationError, match="needs labelled images"):
        build_pipeline(fast_tables, origin="test").fit(cohort / "normal")


def test_progress_tells_every_stage(fast_tables, cohort):
    seen = {}
    build_pipeline(fast_tables, origin="test").fit(
        cohort / "normal",
        progress=lambda stage, done, total, _: seen.__setitem__(stage, (done, total)),
    )
    assert seen["read"] == (12, 12)
    assert seen["calibrate"][0] == seen["calibrate"][1]


def test_whole_image_model_is_an_ordinary_case(fast_tables, cohort):
    for table in ("fit_sampler", "sampler", "model"):
        fast_tables[table]["patch_size"] = 128
    fast_tables["fit_sampler"]["min_lung_fraction"] = 0.0
    fast_tables["sampler"]["min_lung_fraction"] = 0.0
    fast_tables["model"]["n_components"] = 3
    fast_tables["pipeline"]["map_detail"] = "pixel"
    pipeline = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    (detection,) = pipeline.detect_many(sorted((cohort / "opacity").iterdir())[:1])
    assert len(detection.patches) == 1
    heat = detection.anomaly_map.heatmap[detection.anomaly_map.scored]
    assert heat.std() > 0


@pytest.mark.parametrize("epochs", [(), ({"train_loss": 0.5},)])
def test_interrupted_training_is_kept_once_an_epoch_is_done(
    fast_tables, cohort, monkeypatch, epochs
):
    pipeline = build_pipeline(fast_tables, origin="test")
    fit = type(pipeline.model).fit

    def interrupted(self, *arguments, **options):
        history = fit(self, *arguments, **options)
        return attrs.evolve(history, epochs=epochs, stopped="interrupted")

    monkeypatch.setattr(type(pipeline.model), "fit", interrupted)
    if epochs:
        assert pipeline.fit(cohort / "normal").report_.history.stopped == "interrupted"
    else:
        with pytest.raises(KeyboardInterrupt):
            pipeline.fit(cohort / "normal")
        assert not pipeline.is_fitted


class DoubtfulSegmenter:
    """Finds the lungs of another segmenter and doubts them."""

    def __init__(self, segmenter):
        self._segmenter = segmenter

    def segment(self, image):
        return attrs.evolve(self._segmenter.segment(image), implausible="looks like a hand")


@pytest.mark.parametrize("policy", ["score", "skip"])
def test_implausible_lungs_are_out_of_scope(saved, cohort, policy):
    pipeline = lungpatch.load_pipeline(saved)
    calibration = attrs.evolve(pipeline.calibration_, threshold=-1.0, region_threshold=-1.0)
    pipeline.segmenter = DoubtfulSegmenter(pipeline.segmenter)
    pipeline.out_of_scope = policy
    pipeline._restore(calibration, pipeline.report_)  # as if it had been fitted so
    detection = pipeline.detect(sorted((cohort / "opacity").iterdir())[0])
    assert detection.status == "out_of_scope"
    assert detection.reason == "implausible lungs: looks like a hand"
    # Nothing counts as found, however low the thresholds are.
    assert detection.decision is None
    assert len(detection.native_boxes) == len(detection.regions.regions) == 0
    assert not detection.localisation.pred_mask.any()
    assert (detection.pred_score is not None) == (policy == "score")
    assert np.isfinite(detection.native_heatmap).any() == (policy == "score")
    line = "out of scope; maximum: " if policy == "score" else "not scored"
    assert str(detection.regions).startswith(line)


def test_fit_leaves_what_is_out_of_scope_out(fast_tables, cohort):
    pipeline = build_pipeline(fast_tables, origin="test")
    pipeline.segmenter = DoubtfulSegmenter(pipeline.segmenter)
    with pytest.raises(InsufficientDataError, match="implausible lungs: looks like a hand"):
        pipeline.fit(cohort / "normal")


def test_preparing_and_scoring_need_no_threshold(fast_tables, cohort, fitted):
    path = sorted((cohort / "opacity").iterdir())[0]
    prepared = build_pipeline(fast_tables, origin="test").prepare(path)  # not fitted
    assert isinstance(prepared, PreparedImage)
    assert prepared.status == "ok"
    (scored,) = fitted.score([prepared])
    assert isinstance(scored, ScoredImage)
    assert scored.prepared is prepared
    detection = fitted.detect(path)
    assert scored.pred_score == detection.decision.pred_score
    np.testing.assert_array_equal(scored.anomaly_map.heatmap, detection.anomaly_map.heatmap)
    # Colours come with the thresholds, from normal images.
    assert scored.anomaly_map.colour_scale is None


def test_preparing_what_cannot_be_read_is_a_failure_not_an_error(fitted):
    failure = fitted.prepare_or_fail("missing.png")
    assert isinstance(failure, lungpatch.Failure)
    assert failure.source == "missing.png"
