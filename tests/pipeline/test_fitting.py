import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungpatch.errors import InsufficientDataError
from lungpatch.pipeline.calibration import Calibration
from lungpatch.pipeline.configuration import build_pipeline
from lungpatch.pipeline.fitting import FitReport, UnusedImage, fit_steps
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
    report, calibration = fitted.report_, fitted.calibration
    assert isinstance(report, FitReport)
    assert isinstance(calibration, Calibration)
    assert sum(report.images.values()) == 12
    assert report.images == report.patients  # each image is its own patient
    assert report.unused == ()
    assert calibration.colour_scale.low < calibration.map_threshold < calibration.colour_scale.high


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
    assert pipeline.calibration_ is None
    assert calibration.rule == "QuantileThresholder"
