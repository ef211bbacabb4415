"""How a pipeline is fitted: split by patient, read, train, calibrate, report."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.patients import normalise_patient
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.containers import ChestImage, TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.models.diagnostics import identity_shortcut
from lungpatch.pipeline.calibration import Calibration, calibrate
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.pipeline.results import Failure, PreparedImage
from lungpatch.pipeline.splitting import ROLES, Role, split_by_patient
from lungpatch.pipeline.steps import ImageInput, Steps

logger = logging.getLogger(__name__)

MIN_CERTAIN_CALIBRATION = 20
"""Fewer calibration patients than this are warned of."""

_COUNTS = validators.deep_mapping(validators.instance_of(str), validators.instance_of(int))


@attrs.frozen(kw_only=True)
class UnusedImage:
    """An image that ``fit`` could not use, and why.

    Parameters
    ----------
    source : str
        Its path, or its id.
    reason : str

    Examples
    --------
    >>> UnusedImage(source="a.png", reason="no_lungs")
    UnusedImage(source='a.png', reason='no_lungs')
    """

    source: str
    reason: str


@attrs.frozen(kw_only=True)
class FitReport:
    """What ``fit`` used and what came of it.

    Parameters
    ----------
    images, patients : dict of str to int
        How many in each role: ``training``, ``validation``, ``calibration``.
    patches : dict of str to int
        How many patches the model was trained and validated on.
    unused : tuple of UnusedImage
        Images that could not be read or hold no lung.
    history : TrainingHistory
    identity_shortcut : dict or None
        `lungpatch.models.diagnostics.IdentityShortcut` as a dict; None for feature models.
    training_digest : str
        SHA-256 over the pixels of all used images, whatever their order.
    seconds : float

    Examples
    --------
    >>> pipeline.report_.images                                        # doctest: +SKIP
    {'training': 145, 'validation': 38, 'calibration': 61}
    """

    images: dict[str, int] = attrs.field(validator=_COUNTS)
    patients: dict[str, int] = attrs.field(validator=_COUNTS)
    patches: dict[str, int] = attrs.field(validator=_COUNTS)
    unused: tuple[UnusedImage, ...]
    history: TrainingHistory
    identity_shortcut: dict[str, Any] | None = attrs.field(
        validator=validators.optional(validators.instance_of(dict))
    )
    training_digest: str = attrs.field(validator=validators.instance_of(str))
    seconds: float = attrs.field(validator=validators.instance_of((float, int)))


@attrs.define(kw_only=True)
class _Cohort:
    """The images given to ``fit``: whose they are, what each is for, and which could be used."""

    inputs: list[ImageInput]
    patients: list[str]
    roles: Mapping[str, Role]
    usable: list[tuple[ImageInput, str]] = attrs.field(factory=list)
    unused: list[UnusedImage] = attrs.field(factory=list)
    digests: list[bytes] = attrs.field(factory=list)

    def usable_in(self, role: Role) -> list[tuple[ImageInput, str]]:
        return [(image, patient) for image, patient in self.usable if self.roles[patient] == role]

    def leave_out(self, source: str, reason: str) -> None:
        self.unused.append(UnusedImage(source=source, reason=reason))
        logger.warning("left out: %s", reason if source in reason else f"{source}: {reason}")


def fit_steps(
    steps: Steps,
    images: Iterable[ImageInput],
    *,
    patients: Mapping[str, str] | None,
    progress: ProgressCallback | None,
) -> tuple[Calibration, FitReport]:
    """Train the model of a pipeline and set its thresholds. See `lungpatch.Pipeline.fit`.

    Examples
    --------
    >>> calibration, report = fit_steps(
    ...     pipeline, normal_images, patients=None, progress=None)     # doctest: +SKIP
    """
    start = time.perf_counter()
    notify = progress or silent
    _check_unsupervised(steps)
    split_rng, sample_rng, train_rng, shortcut_rng, map_rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(steps.seed).spawn(5)
    )
    cohort = _split(steps, list(images), patients, split_rng)
    side = steps.model.patch_size
    with PatchStore(side) as training, PatchStore(side) as validation:
        _read(steps, cohort, {"training": training, "validation": validation}, sample_rng, notify)
        _check_enough(steps, cohort, len(training))
        history = _train(steps, training, validation, train_rng, notify)
        shortcut = _measure_shortcut(
            steps, validation if len(validation) else training, shortcut_rng
        )
        calibration = calibrate(steps, cohort.usable_in("calibration"), notify=notify, rng=map_rng)
        report = FitReport(
            images={role: len(cohort.usable_in(role)) for role in ROLES},
            patients={role: len({p for _, p in cohort.usable_in(role)}) for role in ROLES},
            patches={"training": len(training), "validation": len(validation)},
            unused=tuple(cohort.unused),
            history=history,
            identity_shortcut=shortcut,
            training_digest=hashlib.sha256(b"".join(sorted(cohort.digests))).hexdigest(),
            seconds=time.perf_counter() - start,
        )
    return calibration, report


def _check_unsupervised(steps: Steps) -> None:
    if steps.thresholder.uses_labels:
        raise ConfigurationError(
            f"{type(steps.thresholder).__name__} needs labelled images, and fit sees normal "
            "ones only: fit with another thresholder, then fit this one on scores and labels of "
            "your own and pass its threshold_ to a FixedThresholder"
        )


def _split(
    steps: Steps,
    inputs: list[ImageInput],
    patients: Mapping[str, str] | None,
    rng: np.random.Generator,
) -> _Cohort:
    owners = _patients_of(inputs, patients)
    roles = split_by_patient(
        owners,
        validation_fraction=steps.validation_fraction,
        calibration_fraction=steps.calibration_fraction,
        min_calibration=steps.thresholder.min_scores,
        rng=rng,
    )
    return _Cohort(inputs=inputs, patients=owners, roles=roles)


def _patients_of(inputs: list[ImageInput], patients: Mapping[str, str] | None) -> list[str]:
    names = []
    for index, item in enumerate(inputs):
        if isinstance(item, ChestImage):
            names.append(item.image_id)
        elif isinstance(item, (str, os.PathLike)):
            names.append(Path(item).name)
        else:
            names.append(f"array {index}")
    if patients is None:
        # Numbered, since two folders may hold files of one name.
        return [f"{index}: {name}" for index, name in enumerate(names)]
    known = {name: normalise_patient(patient) for name, patient in patients.items()}
    owners = [known.get(name) or known.get(Path(name).stem, "") for name in names]
    missing = [name for name, owner in zip(names, owners, strict=True) if not owner]
    if missing:
        raise ConfigurationError(
            f"the table of patients lacks {len(missing)} of {len(names)} images, {missing[0]!r} "
            "first: add them, or fit without a table, each image then being its own patient"
        )
    return owners


def _read(
    steps: Steps,
    cohort: _Cohort,
    stores: Mapping[str, PatchStore],
    rng: np.random.Generator,
    notify: ProgressCallback,
) -> None:
    """Prepare every image once: keep the patches to train on, and note what cannot be used."""
    for count, (item, patient) in enumerate(
        zip(cohort.inputs, cohort.patients, strict=True), start=1
    ):
        store = stores.get(cohort.roles[patient])
        # A calibration image is looked at now only to know in time whether enough can be used.
        options = {} if store is None else {"sampler": steps.fit_sampler, "rng": rng}
        prepared = steps.prepare_or_fail(item, **options)
        notify("read", count, len(cohort.inputs), {})
        if isinstance(prepared, Failure):
            cohort.leave_out(prepared.source, str(prepared.error))
        elif prepared.status != "ok":
            reason = ": ".join(filter(None, (prepared.status, prepared.lungs.implausible)))
            cohort.leave_out(prepared.image.source, reason)
        else:
            _keep(cohort, prepared, item, patient, store)


def _keep(
    cohort: _Cohort,
    prepared: PreparedImage,
    item: ImageInput,
    patient: str,
    store: PatchStore | None,
) -> None:
    if store is not None:
        store.add(prepared.patches)
    cohort.usable.append((item, patient))
    cohort.digests.append(hashlib.sha256(prepared.resized.pixels.tobytes()).digest())


def _check_enough(steps: Steps, cohort: _Cohort, n_patches: int) -> None:
    needed = max(1, steps.thresholder.min_scores)
    n_calibration = len({patient for _, patient in cohort.usable_in("calibration")})
    unused = cohort.unused
    reason = f"; {len(unused)} images could not be used, the first: {unused[0]}" if unused else ""
    if n_patches == 0:
        raise InsufficientDataError(
            "no training patch was found: no image holds lungs large enough for a patch. Lower "
            f"patch_size or min_lung_fraction, or check the segmenter{reason}"
        )
    if n_calibration < needed:
        raise InsufficientDataError(
            f"the thresholder needs {needed} usable normal patients held out of training, got "
            f"{n_calibration}: give more images{reason}"
        )
    if n_calibration < MIN_CERTAIN_CALIBRATION:
        logger.warning(
            "the thresholds rest on %d patients only; the rate of false alarms is uncertain",
            n_calibration,
        )


def _train(
    steps: Steps,
    training: PatchStore,
    validation: PatchStore,
    rng: np.random.Generator,
    notify: ProgressCallback,
) -> TrainingHistory:
    history = steps.model.fit(
        training,
        validation=validation if len(validation) else None,
        rng=rng,
        on_epoch=lambda epoch, epochs, metrics: notify("train", epoch, epochs, metrics),
    )
    if history.stopped == "interrupted" and not history.epochs:
        raise KeyboardInterrupt  # nothing was trained that would be worth keeping
    return history


def _measure_shortcut(
    steps: Steps, source: PatchStore, rng: np.random.Generator
) -> dict[str, Any] | None:
    try:
        shortcut = identity_shortcut(steps.model, source, rng=rng)
    except InsufficientDataError as error:
        # A diagnostic that cannot be had is no reason to lose what was trained.
        logger.warning("identity shortcut not measured: %s", error)
        return None
    return None if shortcut is None else shortcut.to_dict()
