"""Which patients train a model, which stop its training, which set the thresholds."""

from __future__ import annotations

from typing import Literal

import numpy as np

from lungpatch.errors import InsufficientDataError

Role = Literal["training", "validation", "calibration"]
ROLES: tuple[Role, ...] = ("training", "validation", "calibration")


def split_by_patient(
    patients: list[str],
    *,
    validation_fraction: float,
    calibration_fraction: float,
    min_calibration: int,
    rng: np.random.Generator,
) -> dict[str, Role]:
    """Give every patient one role, so that no patient is on two sides.

    Parameters
    ----------
    patients : list of str
        One per image; repeats allowed. Their order matters, so give them in one that is fixed.
    validation_fraction, calibration_fraction : float
        Fractions of the patients; at least one patient each.
    min_calibration : int
        Patients that the thresholder needs. It may take up to half of all.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to {"training", "validation", "calibration"}

    Raises
    ------
    InsufficientDataError
        If there are fewer than three patients, or the thresholder needs more than half of them.

    Examples
    --------
    >>> import numpy as np
    >>> roles = split_by_patient(
    ...     [f"p{i}" for i in range(20)], validation_fraction=0.15, calibration_fraction=0.2,
    ...     min_calibration=1, rng=np.random.default_rng(0))
    >>> sorted(roles.values()).count("training")
    13
    """
    names = np.array(list(dict.fromkeys(patients)))
    check_counts(len(names), min_calibration)
    n_validation = max(1, round(validation_fraction * len(names)))
    n_calibration = max(1, round(calibration_fraction * len(names)), min_calibration)
    n_validation = min(n_validation, len(names) - n_calibration - 1)
    order = rng.permutation(names)
    roles: dict[str, Role] = dict.fromkeys(order.tolist(), "training")
    roles |= dict.fromkeys(order[:n_calibration].tolist(), "calibration")
    roles |= dict.fromkeys(
        order[n_calibration : n_calibration + n_validation].tolist(), "validation"
    )
    return roles


def check_counts(n_patients: int, min_calibration: int) -> None:
    """Refuse too few patients for a split in three.

    Parameters
    ----------
    n_patients : int
    min_calibration : int
        Patients that the thresholder needs. It may take up to half of all.

    Raises
    ------
    InsufficientDataError
        If there are fewer than three patients, or the thresholder needs more than half of them.

    Examples
    --------
    >>> check_counts(30, min_calibration=19)
    Traceback (most recent call last):
    ...
    lungpatch.errors.InsufficientDataError: the thresholder needs 19 normal patients held out of
    training, at most half of all; there are 30. Give at least 38, or choose a thresholder that
    needs fewer, such as 'quantile'
    """
    if n_patients < 3:
        raise InsufficientDataError(
            "fit needs images of at least 3 patients (training, validation, calibration), "
            f"got {n_patients}"
        )
    if min_calibration > n_patients // 2:
        raise InsufficientDataError(
            f"the thresholder needs {min_calibration} normal patients held out of training, at "
            f"most half of all; there are {n_patients}. Give at least {2 * min_calibration}, or "
            "choose a thresholder that needs fewer, such as 'quantile'"
        )
