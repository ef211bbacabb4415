import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lungpatch
from lungpatch.errors import InsufficientDataError
from lungpatch.pipeline.calibration import Calibration
from lungpatch.pipeline.cohort import UnusedImage
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.pipeline.fitting import FitReport, fit_steps
from lungpatch.pipeline.splitting import split_by_patient


@settings(deadline=None)
@given(
    count=st.integers(3, 60),
    validation=st.floats(0.01, 0.49),
    calibration=st.floats(0.01, 0.49),
    seed=st.integers(0, 99),
)
def test_every_role_has_a_patient(count, validation, calibration, seed):
    patients = [f"p{index % count}" for index in range(2 * count)]
    roles = split_by_patient(
        patients,
        validation_fraction=validation,
        calibration_fraction=calibration,
        min_calibration=1,
        rng=np.random.default_rng(seed),
    )
    assert set(roles) == set(patients)
    assert set(roles.values()) == {"training", "validation", "calibration"}


def test_the_thresholder_takes_at_most_half():
    options = {"validation_fraction": 0.1, "calibration_fraction": 0.1}
    patients = [str(index) for index in range(20)]
    roles = split_by_patient(patients, min_calibration=10, rng=np.random.default_rng(0), **options)
    assert list(roles.values()).count("calibration") == 10
    with pytest.raises(InsufficientDataError, match="Give at least 22"):
        split_by_patient(patients, min_calibration=11, rng=np.random.default_rng(0), **options)


def test_fit_tells_what_it_used_and_what_it_found(fitted):
    report, calibration = fitted.report_, fitted.calibration_
    assert isinstance(report, FitReport)
    assert isinstance(calibration, Calibration)
    assert sum(report.images.values()) == 12
    assert report.images == report.patients  # each image is its own patient
    assert report.unused == ()
    assert (
        calibration.colour_scale.low < calibration.region_threshold < calibration.colour_scale.high
    )


def test_what_cannot_be_used_is_named_with_the_reason(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    blank = np.zeros((128, 128), np.uint8)
    pipeline = build_pipeline(fast_tables, origin="test")
    calibration, report = fit_steps(
        pipeline, [*paths, "missing.png", blank], patients=None, progress=None
    )
    assert {type(unused) for unused in report.unused} == {UnusedImage}
    reasons = {unused.source: unused.reason for unused in report.unused}
    assert "missing.png" in reasons["missing.png"]
    assert len(reasons) == 2
    # The pipeline keeps what is returned; this function alone leaves it unfitted.
    assert not pipeline.is_fitted
    assert calibration.rule == "QuantileThresholder"


def _fit(tables, images, **options):
    return build_pipeline(tables, origin="test").fit(images, **options)


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_the_order_of_the_images_does_not_matter(fast_tables, cohort, sampler):
    if sampler == "random":
        fast_tables["fit_sampler"] = {"name": "random", "patch_size": 16, "n_patches": 30}
    paths = sorted((cohort / "normal").iterdir())
    patients = {path.name: f"patient {index // 2}" for index, path in enumerate(paths)}
    for table in (None, patients):
        one = _fit(fast_tables, paths, patients=table)
        for order in (paths[::-1], paths[5:] + paths[:5]):
            other = _fit(fast_tables, order, patients=table)
            assert other.calibration_ == one.calibration_
            assert other.report_.training_digest == one.report_.training_digest
            for name, array in one.model.state().items():
                np.testing.assert_array_equal(other.model.state()[name], array)


def test_names_and_kinds_of_the_inputs_do_not_matter_either(fast_tables, cohort):
    paths = sorted((cohort / "normal").iterdir())
    images = [lungpatch.read_image(path) for path in paths]
    arrays = [np.rint(image.pixels * 255).astype(np.uint8) for image in images]
    expected = _fit(fast_tables, paths).calibration_
    assert _fit(fast_tables, images).calibration_ == expected
    assert _fit(fast_tables, arrays).calibration_ == expected


def test_images_given_twice_are_counted_once_and_said(fast_tables, cohort, tmp_path, caplog):
    paths = sorted((cohort / "normal").iterdir())
    copies = [shutil.copy(path, tmp_path / f"copy-of-{path.name}") for path in paths[:3]]
    once = _fit(fast_tables, paths)
    twice = _fit(fast_tables, [*paths, *copies, paths[0]])
    assert twice.calibration_ == once.calibration_
    assert sum(twice.report_.images.values()) == 12
    assert len(twice.report_.unused) == 4
    for unused in twice.report_.unused:
        assert re.match(r"the same image as .*, counted once", unused.reason)
        assert unused.source in caplog.text


def test_one_image_many_times_is_one_patient(fast_tables, cohort):
    path = sorted((cohort / "normal").iterdir())[0]
    with pytest.raises(InsufficientDataError, match=r"got 1; 11 images could not be used"):
        _fit(fast_tables, [path] * 12)


def test_what_can_be_used_is_known_before_the_split(fast_tables, cohort, tmp_path):
    """Two of three conformal patients per side: those that fail must not come from one side."""
    fast_tables["thresholder"] = {"name": "conformal", "alpha": 0.2}  # needs 4 patients
    fast_tables["pipeline"]["calibration_fraction"] = 0.1
    paths = sorted((cohort / "normal").iterdir())
    bad = []
    for number in range(9):
        bad.append(tmp_path / f"bad-{number}.png")
        bad[-1].write_bytes(b"no image")
    for seed in range(5):
        fast_tables["pipeline"]["seed"] = seed
        report = _fit(fast_tables, [*paths, *bad]).report_
        assert report.patients["calibration"] == 4
        assert sum(report.images.values()) == 12
        assert len(report.unused) == 9


def test_too_few_usable_images_are_told_with_the_reason(fast_tables, cohort, tmp_path):
    fast_tables["thresholder"] = {"name": "conformal", "alpha": 0.1}  # needs 9 patients
    bad = []
    for number in range(10):
        bad.append(tmp_path / f"bad-{number}.png")
        bad[-1].write_bytes(b"no image")
    with pytest.raises(InsufficientDataError, match=r"there are 12.*10 images could not be used"):
        _fit(fast_tables, [*sorted((cohort / "normal").iterdir()), *bad])


def test_no_training_patch_is_told(fast_tables, cohort):
    # Lungs hold whole patches nowhere at this size, but enough of each for detection.
    for table in ("fit_sampler", "sampler", "model"):
        fast_tables[table]["patch_size"] = 96
    fast_tables["sampler"]["min_lung_fraction"] = 0.01
    with pytest.raises(InsufficientDataError, match="no training patch was found"):
        _fit(fast_tables, cohort / "normal")


@pytest.mark.parametrize("patient", [0, 8.0, "0"])
def test_patients_may_be_numbers(fast_tables, cohort, patient):
    paths = sorted((cohort / "normal").iterdir())
    patients = {path.name: patient if index < 3 else index for index, path in enumerate(paths)}
    patients.pop(paths[7].name, None)
    patients[paths[7].stem] = 107
    report = _fit(fast_tables, paths, patients=patients).report_
    assert sum(report.images.values()) == 12
    assert sum(report.patients.values()) == (9 if patient == 8.0 else 10)


def test_every_stage_is_announced_before_it_takes_time(fast_tables, cohort):
    seen = []
    _fit(
        fast_tables,
        cohort / "normal",
        progress=lambda stage, done, total, _: seen.append((stage, done, total)),
    )
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["read", "train", "measure", "calibrate"]
    assert ("train", 0, 1) in seen
    assert ("measure", 0, 1) in seen
