"""Which patients train a model, which stop its training, which calibrate."""

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
    n_patients = len(set(patients))
    check_counts(n_patients, min_calibration)
    n_validation = max(1, round(validation_fraction * n_patients))
    n_calibration = max(1, round(calibration_fraction * n_patients), min_calibration)
    n_validation = min(n_validation, n_patients - n_calibration - 1)
    order = _shuffled(patients, rng)
    roles: dict[str, Role] = dict.fromkeys(order, "training")
    roles |= dict.fromkeys(order[:n_calibration], "calibration")
    roles |= dict.fromkeys(order[n_calibration : n_calibration + n_validation], "validation")
    return roles


def fold_by_patient(
    patients: list[str], *, folds: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], ...]:
    """Divide the patients into folds of nearly equal size.

    Parameters
    ----------
    patients : list of str
        One per image; repeats allowed. Their order matters, so give them in one that is fixed.
    folds : int
        At least 2.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of tuple of str
        The patients of each fold.

    Raises
    ------
    InsufficientDataError
        If a model would be trained on fewer than two patients: one trains it, one stops it.

    Examples
    --------
    >>> import numpy as np
    >>> folded = fold_by_patient(list("abcde"), folds=2, rng=np.random.default_rng(0))
    >>> [len(fold) for fold in folded]
    [3, 2]
    """
    order = _shuffled(patients, rng)
    if len(order) < max(folds, 4):
        raise InsufficientDataError(
            f"cross calibration in {folds} folds needs images of at least {max(folds, 4)} "
            f"patients, got {len(order)}"
        )
    return tuple(tuple(order[fold::folds]) for fold in range(folds))


def hold_out(patients: list[str], *, fraction: float, rng: np.random.Generator) -> dict[str, Role]:
    """Let a fraction of the patients stop the training, and the others train.

    Parameters
    ----------
    patients : list of str
        One per image, at least two of them; repeats allowed.
    fraction : float
        At least one patient is held out.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to {"training", "validation"}

    Examples
    --------
    >>> import numpy as np
    >>> roles = hold_out(list("abcdefgh"), fraction=0.25, rng=np.random.default_rng(0))
    >>> sorted(roles.values()).count("validation")
    2
    """
    order = _shuffled(patients, rng)
    n_validation = max(1, round(fraction * len(order)))
    roles: dict[str, Role] = dict.fromkeys(order, "training")
    return roles | dict.fromkeys(order[:n_validation], "validation")


def _shuffled(patients: list[str], rng: np.random.Generator) -> list[str]:
    """Return each patient once, in random order."""
    shuffled: list[str] = rng.permutation(np.array(list(dict.fromkeys(patients)))).tolist()
    return shuffled


def check_counts(
    n_patients: int, min_calibration: int, *, calibration: Literal["split", "cross"] = "split"
) -> None:
    """Refuse too few patients for training, validation and calibration.

    Parameters
    ----------
    n_patients : int
    min_calibration : int
        Patients that the thresholders need. With ``"split"`` they may take up to half of all.
    calibration : {"split", "cross"}
        With ``"cross"`` every patient calibrates.

    Raises
    ------
    InsufficientDataError
        If there are fewer than three patients, or the thresholders need more than there are.

    Examples
    --------
    >>> check_counts(30, min_calibration=19)
    Traceback (most recent call last):
    ...
    lungpatch.errors.InsufficientDataError: the thresholder needs 19 normal patients held out of
    training, at most half of all; there are 30. Give at least 38, choose a thresholder that needs
    fewer, such as 'quantile', or calibration = "cross", which uses all
    """
    if n_patients < 3:
        raise InsufficientDataError(
            "fit needs images of at least 3 patients (training, validation, calibration), "
            f"got {n_patients}"
        )
    if calibration == "split" and min_calibration > n_patients // 2:
        raise InsufficientDataError(
            f"the thresholder needs {min_calibration} normal patients held out of training, at "
            f"most half of all; there are {n_patients}. Give at least {2 * min_calibration}, "
            "choose a thresholder that needs fewer, such as 'quantile', or "
            'calibration = "cross", which uses all'
        )
    if min_calibration > n_patients:
        raise InsufficientDataError(
            f"the thresholder needs {min_calibration} normal patients; there are {n_patients}. "
            "Give more, or choose a thresholder that needs fewer, such as 'quantile'"
        )
