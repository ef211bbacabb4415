import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungpatch.errors import InsufficientDataError
from lungpatch.fitting import split_by_patient


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
