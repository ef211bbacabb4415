"""Thresholds, p-values and rates from the scores of normal images."""

import copy
import json

import attrs
import numpy as np
import pytest
from made_calibrations import made_calibration

import lungpatch
from lungpatch.datasets.phantom import phantom_cohort
from lungpatch.errors import ConfigurationError, InsufficientDataError, SavedPipelineError
from lungpatch.pipeline import Calibration
from lungpatch.pipeline.calibration import LUNG_ZONES
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.thresholders import ConformalThresholder

# ---------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(("score", "p"), [(0.5, 1.0), (1.0, 1.0), (15.5, 6 / 21), (99.0, 1 / 21)])
def test_p_values_by_hand(score, p):
    assert made_calibration().p_value(score) == p


def test_rates_move_the_thresholds():
    calibration = made_calibration()
    assert calibration.n_patients == 20
    assert calibration.finest_rate == 1 / 21
    # At a rate of 0.1 at most 2.1 of 21 may lie above: the second highest is the threshold.
    moved = calibration.at_rates(false_alarm_rate=0.1)
    assert (moved.threshold, moved.rule) == (19.0, "ConformalThresholder")
    assert moved.region_threshold == 30.0
    moved = calibration.at_rates(false_box_rate=0.5)
    assert (moved.threshold, moved.region_threshold) == (3.0, 110.0)
    assert calibration.at_rates() == calibration


@pytest.mark.parametrize("name", ["false_alarm_rate", "false_box_rate"])
def test_rates_that_cannot_be_had_are_refused(name):
    calibration = made_calibration()
    with pytest.raises(InsufficientDataError, match="at least 99 normal patients, got 20"):
        calibration.at_rates(**{name: 0.01})
    for rate in (0.0, 0.6, -1, "a", True):
        with pytest.raises(ConfigurationError, match=f"{name} must be a number above 0"):
            calibration.at_rates(**{name: rate})


def test_a_calibration_is_restored_from_json():
    calibration = made_calibration(zone_scores={LUNG_ZONES[0]: (1.0, 2.0)})
    record = json.loads(json.dumps(attrs.asdict(calibration)))
    assert Calibration.from_record(record) == calibration


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "guess"},
        {"image_scores": (1.0, np.nan), "region_scores": (1.0, 2.0)},
        {"region_scores": (1.0,)},
        {"zone_scores": {"somewhere": (1.0,)}},
        {"greys": (np.inf,)},
    ],
)
def test_what_is_no_calibration_is_refused(changes):
    with pytest.raises(ValueError, match=r"."):
        made_calibration(**changes)


# ---------------------------------------------------------------------------- in a pipeline


def test_each_patient_counts_once_with_the_highest_score(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    patients = {path.name: f"p{index // 2}" for index, path in enumerate(paths)}
    fast_tables["pipeline"]["calibration_fraction"] = 0.49
    pipeline = build_pipeline(fast_tables, origin="test").fit(paths, patients=patients)
    calibration = pipeline.calibration_
    assert calibration.n_patients == pipeline.report_.patients["calibration"] == 3
    assert pipeline.report_.images["calibration"] == len(calibration.greys) == 6
    scores = {path.name: pipeline.detect(path).pred_score for path in paths}
    by_patient = {}
    for name, score in scores.items():
        by_patient.setdefault(patients[name], []).append(score)
    highest = {max(values) for values in by_patient.values()}
    assert set(calibration.image_scores) <= highest


def test_what_detect_says_follows_from_the_calibration(fitted, cohort):
    calibration = fitted.calibration_
    for path in sorted((cohort / "opacity").iterdir()):
        detection = fitted.detect(path)
        by_hand = (1 + sum(s >= detection.pred_score for s in calibration.image_scores)) / 3
        assert detection.decision.p_value == by_hand
        assert len(detection.localisation.box_p_values) == len(detection.native_boxes)


def test_detect_at_a_rate_decides_by_the_p_value(fitted, cohort):
    images = sorted((cohort / "opacity").iterdir()) + sorted((cohort / "normal").iterdir())
    for rate in (0.34, 0.5):
        found = list(fitted.detect_many(images, false_alarm_rate=rate, false_box_rate=rate))
        assert [d.decision.pred_label for d in found] == [d.decision.p_value <= rate for d in found]
        for detection, path in zip(found, images, strict=True):
            one = fitted.detect(path, false_alarm_rate=rate, false_box_rate=rate)
            assert one.decision.pred_label == detection.decision.pred_label
            assert (one.localisation.box_p_values <= rate).all()
            np.testing.assert_array_equal(one.native_boxes, detection.native_boxes)
    with pytest.raises(InsufficientDataError, match="got 2"):
        fitted.detect_many(images, false_alarm_rate=0.1)  # before the first image is read


def test_regions_may_have_a_thresholder_of_their_own(fast_tables, cohort):
    fast_tables["region_thresholder"] = {"name": "quantile", "q": 0.0}
    pipeline = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    calibration = pipeline.calibration_
    assert calibration.region_threshold == min(calibration.region_scores)
    assert calibration.threshold > min(calibration.image_scores)


def test_by_default_regions_have_a_copy_of_the_thresholder(fast_tables):
    pipeline = build_pipeline(fast_tables, origin="test")
    assert pipeline.region_thresholder is not pipeline.thresholder
    assert pipeline.region_thresholder.q == pipeline.thresholder.q == 0.9


# -------------------------------------------------------------------------------- in folds


@pytest.fixture(scope="module")
def crossed(fitted, cohort):
    pipeline = copy.deepcopy(fitted)
    pipeline.calibration = "cross"
    return pipeline.fit(cohort / "normal")


def test_in_cross_calibration_all_calibrate_and_all_train(crossed):
    assert crossed.calibration_.method == "cross"
    assert crossed.calibration_.n_patients == 12
    assert crossed.report_.n_images == 12
    assert crossed.report_.images == {"training": 10, "validation": 2, "calibration": 12}


def test_a_fold_is_scored_by_a_model_that_has_not_seen_it(cohort, fast_tables, monkeypatch):
    """Each training and the images that are scored after it are watched."""
    import lungpatch.pipeline.fitting as fitting

    fast_tables["pipeline"] |= {"calibration": "cross", "folds": 3}
    paths = sorted((cohort / "normal").iterdir())
    patients = {path.name: f"p{index // 2}" for index, path in enumerate(paths)}
    trained, scored = [], []
    real_patches, real_score = fitting._patches, fitting.score_normal

    def patches(images, store):
        images = list(images)
        trained.append({image.patient for image in images})
        return real_patches(images, store)

    def score(steps, images, **options):
        scored.append({patient for _, patient in images})
        return real_score(steps, images, **options)

    monkeypatch.setattr(fitting, "_patches", patches)
    monkeypatch.setattr(fitting, "score_normal", score)
    build_pipeline(fast_tables, origin="test").fit(paths, patients=patients)
    everyone = {f"p{index}" for index in range(6)}
    # Training and validation of the model that is kept, then of each fold.
    seen = [one | other for one, other in zip(trained[::2], trained[1::2], strict=True)]
    assert len(seen) == 4
    assert seen[0] == everyone
    for others, held_out in zip(seen[1:], scored, strict=True):
        assert others == everyone - held_out
        assert len(held_out) == 2
    assert set.union(*scored) == everyone


def test_cross_calibration_is_saved_and_loaded(crossed, tmp_path):
    loaded = lungpatch.load_pipeline(crossed.save(tmp_path / "c.lungpatch"))
    assert loaded.calibration_ == crossed.calibration_
    assert (loaded.calibration, loaded.folds) == ("cross", 5)


def test_the_model_is_that_of_all_images(crossed, fast_tables, cohort):
    """PCA has a closed form: trained on what is not validation, whatever the folds."""
    fast_tables["pipeline"] |= {"calibration": "cross", "folds": 2}
    other = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    for name, values in crossed.model.state().items():
        np.testing.assert_array_equal(values, other.model.state()[name])
    assert other.calibration_.image_scores != crossed.calibration_.image_scores


def test_too_few_patients_for_the_folds(fast_tables, cohort):
    fast_tables["pipeline"] |= {"calibration": "cross"}
    pipeline = build_pipeline(fast_tables, origin="test")
    with pytest.raises(InsufficientDataError, match="5 folds needs images of at least 5 patients"):
        pipeline.fit(sorted((cohort / "normal").iterdir())[:4])


def test_cross_calibration_needs_as_many_patients_as_the_rate(fast_tables, cohort):
    fast_tables["pipeline"] |= {"calibration": "cross"}
    fast_tables["thresholder"] = {"name": "conformal", "alpha": 0.05}
    pipeline = build_pipeline(fast_tables, origin="test")
    with pytest.raises(InsufficientDataError, match="needs 19 normal patients; there are 12"):
        pipeline.fit(cohort / "normal")


def test_an_interrupted_fold_keeps_nothing(fast_tables, cohort, monkeypatch):
    fast_tables["pipeline"] |= {"calibration": "cross"}
    pipeline = build_pipeline(fast_tables, origin="test")
    real, calls = type(pipeline.model).fit, []

    def fit(self, *args, **options):
        calls.append(self)
        history = real(self, *args, **options)
        return attrs.evolve(history, stopped="interrupted") if len(calls) == 3 else history

    monkeypatch.setattr(type(pipeline.model), "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        pipeline.fit(cohort / "normal")
    assert not pipeline.is_fitted


def test_an_older_format_is_refused_in_words(saved, tmp_path):
    import hashlib
    import shutil

    folder = tmp_path / "old.lungpatch"
    shutil.copytree(saved, folder)
    content = json.loads((folder / "pipeline.json").read_text())
    content["format_version"] = 2
    (folder / "pipeline.json").write_text(json.dumps(content))
    digest = hashlib.sha256((folder / "pipeline.json").read_bytes()).hexdigest()
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    lines = [f"{digest}  pipeline.json" if "pipeline.json" in line else line for line in lines]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    with pytest.raises(SavedPipelineError, match=r"format 2, .* no p-values.*fit and save"):
        lungpatch.load_pipeline(folder)


# ------------------------------------------------------------------------- a site's images


@pytest.fixture(scope="module")
def site_images():
    return [case.image for case in phantom_cohort(9, 0, seed=77, size=256)]


def test_calibrating_keeps_what_was_trained_and_moves_the_rest(fitted, site_images):
    before = fitted.calibration_
    site = fitted.calibrate(site_images)
    assert fitted.calibration_ is before
    assert site.is_fitted
    assert site.model is fitted.model
    assert site.calibration_.method == "site"
    by_hand = [fitted.detect(image).pred_score for image in site_images]
    assert sorted(site.calibration_.image_scores) == sorted(by_hand)
    assert site.calibration_.threshold == pytest.approx(np.quantile(by_hand, 0.9))
    for image in site_images[:3]:
        assert site.detect(image).pred_score == fitted.detect(image).pred_score
        expected = (1 + sum(s >= site.detect(image).pred_score for s in by_hand)) / 10
        assert site.detect(image).decision.p_value == expected


def test_a_site_is_saved_and_loaded(fitted, site_images, tmp_path):
    site = fitted.calibrate(site_images)
    loaded = lungpatch.load_pipeline(site.save(tmp_path / "site.lungpatch"))
    assert loaded.calibration_ == site.calibration_
    assert loaded.report_ == fitted.report_


def test_the_order_of_a_site_s_images_does_not_matter(fitted, site_images):
    assert (
        fitted.calibrate(site_images).calibration_
        == fitted.calibrate(site_images[::-1]).calibration_
    )


def test_the_images_of_a_patient_count_once(fitted, site_images):
    patients = {f"{index}": "one" if index < 3 else f"{index}" for index in range(9)}
    images = [attrs.evolve(image, image_id=f"{i}") for i, image in enumerate(site_images)]
    site = fitted.calibrate(images, patients=patients)
    scores = [fitted.detect(image).pred_score for image in images]
    assert sorted(site.calibration_.image_scores) == sorted([max(scores[:3]), *scores[3:]])


def test_what_was_returned_by_check_calibrates(fitted, site_images):
    report = fitted.check(site_images)
    assert fitted.calibrate(report).calibration_ == fitted.calibrate(site_images).calibration_


def test_too_few_patients_are_refused_before_an_image_is_read(fast_tables, cohort):
    fast_tables["thresholder"] = {"name": "conformal", "alpha": 0.3}
    pipeline = build_pipeline(fast_tables, origin="test").fit(cohort / "normal")
    assert isinstance(pipeline.region_thresholder, ConformalThresholder)
    with pytest.raises(InsufficientDataError, match="images of 3 normal patients, got 2"):
        pipeline.calibrate(["missing-1.png", "missing-2.png"])


def test_images_without_lungs_are_left_out_and_said(fitted, site_images):
    empty = lungpatch.ChestImage(pixels=np.eye(256, dtype=np.float32), image_id="empty")
    report = fitted.check([*site_images, empty])
    assert len(report.unused) == 1
    assert "left out: 1 " in report.lines[0]
    with pytest.raises(InsufficientDataError, match="none of 1 normal images could be used"):
        fitted.check([empty])
