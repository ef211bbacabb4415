"""How a pipeline is fitted: split by patient, read, train, calibrate, report."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import validators

from lungpatch._utils.patients import normalise_patient
from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch._version import __version__
from lungpatch.containers import ChestImage, TrainingHistory
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.models.diagnostics import identity_shortcut
from lungpatch.networks.checkpoints import checkpoints_in
from lungpatch.pipeline.calibration import Calibration, calibrate
from lungpatch.pipeline.patch_store import PatchSelection, PatchStore
from lungpatch.pipeline.results import Failure, PreparedImage
from lungpatch.pipeline.snapshot import Snapshot
from lungpatch.pipeline.splitting import ROLES, Role, check_counts, split_by_patient
from lungpatch.pipeline.steps import ImageInput, Steps

logger = logging.getLogger(__name__)

PATCH_ROLES: tuple[Role, Role] = ("training", "validation")
"""What patches are cut for; calibration images are scored instead."""

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
        Images that could not be read, hold no lung, or are the same as another.
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


@attrs.frozen(kw_only=True)
class _Usable:
    """An image that can be used: whose it is, and its place in the store of patches."""

    item: ImageInput
    source: str
    patient: str
    digest: bytes
    stored: int
    n_patches: int


@attrs.define(kw_only=True)
class _Cohort:
    """The images given to ``fit``, in an order that does not depend on that of the input."""

    usable: list[_Usable]
    unused: list[UnusedImage]
    roles: Mapping[str, Role] = attrs.field(factory=dict)

    def in_role(self, role: Role) -> list[_Usable]:
        return [image for image in self.usable if self.roles[image.patient] == role]


def fit_steps(
    steps: Steps,
    images: Iterable[ImageInput],
    *,
    patients: Mapping[str, str] | None,
    progress: ProgressCallback | None,
    checkpoint: Path | None = None,
) -> tuple[Calibration, FitReport]:
    """Train the model of a pipeline and set its thresholds. See `lungpatch.Pipeline.fit`.

    Examples
    --------
    >>> calibration, report = fit_steps(
    ...     pipeline, normal_images, patients=None, progress=None)     # doctest: +SKIP
    """
    start = time.perf_counter()
    notify = progress or silent
    inputs = list(images)
    owners = _patients_of(inputs, patients)
    _check_feasible(steps, owners)
    split_rng, sample_rng, train_rng, shortcut_rng, map_rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(steps.seed).spawn(5)
    )
    with PatchStore(steps.model.patch_size) as store:
        cohort = _read(steps, inputs, owners, store, sample_rng, notify)
        _split(steps, cohort, split_rng)
        training, validation = (_patches(cohort, role, store) for role in PATCH_ROLES)
        with _checkpoints(steps, cohort, checkpoint):
            history = _train(steps, training, validation, train_rng, notify)
        shortcut = _measure_shortcut(steps, validation or training, shortcut_rng, notify)
        held_out = [(image.item, image.patient) for image in cohort.in_role("calibration")]
        calibration = calibrate(steps, held_out, notify=notify, rng=map_rng)
        report = FitReport(
            images={role: len(cohort.in_role(role)) for role in ROLES},
            patients={role: len({i.patient for i in cohort.in_role(role)}) for role in ROLES},
            patches={"training": len(training), "validation": len(validation)},
            unused=tuple(cohort.unused),
            history=history,
            identity_shortcut=shortcut,
            training_digest=_digest_of(cohort),
            seconds=time.perf_counter() - start,
        )
    return calibration, report


def _check_feasible(steps: Steps, owners: list[str]) -> None:
    """Refuse before any image is read what could not work with all of them."""
    if steps.thresholder.uses_labels:
        raise ConfigurationError(
            f"{type(steps.thresholder).__name__} needs labelled images, and fit sees normal "
            "ones only: fit with another thresholder, then fit this one on scores and labels of "
            "your own and pass its threshold_ to a FixedThresholder"
        )
    check_counts(len(set(owners)), steps.thresholder.min_scores)


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
    inputs: list[ImageInput],
    owners: list[str],
    store: PatchStore,
    rng: np.random.Generator,
    notify: ProgressCallback,
) -> _Cohort:
    """Read every image once, store its patches, and note what cannot be used, and why."""
    found: list[_Usable] = []
    unused: list[UnusedImage] = []
    # One seed per fit and image: the patches of an image do not depend on the order of the input.
    entropy = int(rng.integers(2**63))
    for count, (item, patient) in enumerate(zip(inputs, owners, strict=True), start=1):
        prepared = steps.prepare_or_fail(item)
        notify("read", count, len(inputs), {})
        if isinstance(prepared, Failure):
            unused.append(UnusedImage(source=prepared.source, reason=str(prepared.error)))
        elif prepared.status != "ok":
            reason = ": ".join(filter(None, (prepared.status, prepared.reason)))
            unused.append(UnusedImage(source=prepared.image.source, reason=reason))
        else:
            found.append(_stored(steps, prepared, item, patient, store, entropy))
    usable, duplicates = _without_duplicates(found)
    unused += duplicates
    for image in unused:
        logger.warning("left out: %s: %s", image.source, image.reason)
    return _Cohort(usable=usable, unused=unused)


def _stored(
    steps: Steps,
    prepared: PreparedImage,
    item: ImageInput,
    patient: str,
    store: PatchStore,
    entropy: int,
) -> _Usable:
    digest = hashlib.sha256(prepared.resized.pixels.tobytes()).digest()
    rng = np.random.default_rng([entropy, int.from_bytes(digest[:8])])
    patches = steps.fit_sampler.sample(prepared.resized, prepared.lungs, rng=rng)
    store.add(patches)
    return _Usable(
        item=item,
        source=prepared.image.source,
        patient=patient,
        digest=digest,
        stored=store.n_images - 1,
        n_patches=len(patches),
    )


def _without_duplicates(found: list[_Usable]) -> tuple[list[_Usable], list[UnusedImage]]:
    """Keep one of equal images, and sort by content."""
    ordered = sorted(found, key=lambda image: (image.digest, image.source, image.patient))
    usable: list[_Usable] = []
    duplicates = []
    for image in ordered:
        if usable and usable[-1].digest == image.digest:
            kept = usable[-1].source
            duplicates.append(
                UnusedImage(source=image.source, reason=f"the same image as {kept}, counted once")
            )
        else:
            usable.append(image)
    return usable, duplicates


def _split(steps: Steps, cohort: _Cohort, rng: np.random.Generator) -> None:
    """Give each patient with a usable image a role."""
    # In the order of the images' content, whatever the patients are called or numbered.
    names = list(dict.fromkeys(image.patient for image in cohort.usable))
    needed = max(1, steps.thresholder.min_scores)
    unused = cohort.unused
    reason = f"; {len(unused)} images could not be used, the first: {unused[0]}" if unused else ""
    try:
        cohort.roles = split_by_patient(
            names,
            validation_fraction=steps.validation_fraction,
            calibration_fraction=steps.calibration_fraction,
            min_calibration=needed,
            rng=rng,
        )
    except InsufficientDataError as error:
        raise InsufficientDataError(f"{error}{reason}") from None
    if not any(image.n_patches for image in cohort.in_role("training")):
        raise InsufficientDataError(
            "no training patch was found: no image holds lungs large enough for a patch. Lower "
            f"patch_size or min_lung_fraction, or check the segmenter{reason}"
        )
    n_calibration = list(cohort.roles.values()).count("calibration")
    if n_calibration < MIN_CERTAIN_CALIBRATION:
        logger.warning(
            "the thresholds rest on %d patients only; the rate of false alarms is uncertain",
            n_calibration,
        )


@contextlib.contextmanager
def _checkpoints(steps: Steps, cohort: _Cohort, folder: Path | None) -> Iterator[None]:
    """Keep checkpoints of the trainings within the block, if they are wanted."""
    if folder is None:
        yield
        return
    images = [(image.digest.hex(), cohort.roles[image.patient]) for image in cohort.usable]
    fit = {
        "lungpatch": __version__,
        "parts": {path: repr(part) for path, part in Snapshot.of(steps).parts.items()},
        "seed": steps.seed,
        "images": hashlib.sha256(repr(images).encode()).hexdigest(),
    }
    with checkpoints_in(folder, fit) as goes_on:
        if goes_on:
            logger.warning("going on from the checkpoints in %s", folder)
        yield


def _patches(cohort: _Cohort, role: Role, store: PatchStore) -> PatchSelection:
    return store.select(image.stored for image in cohort.in_role(role))


def _train(
    steps: Steps,
    training: PatchSelection,
    validation: PatchSelection,
    rng: np.random.Generator,
    notify: ProgressCallback,
) -> TrainingHistory:
    notify("train", 0, 1, {})
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
    steps: Steps, source: PatchSelection, rng: np.random.Generator, notify: ProgressCallback
) -> dict[str, Any] | None:
    notify("measure", 0, 1, {})
    try:
        shortcut = identity_shortcut(steps.model, source, rng=rng)
    except InsufficientDataError as error:
        # A diagnostic that cannot be had is no reason to lose what was trained.
        logger.warning("identity shortcut not measured: %s", error)
        shortcut = None
    notify("measure", 1, 1, {})
    return None if shortcut is None else shortcut.to_dict()


def _digest_of(cohort: _Cohort) -> str:
    return hashlib.sha256(b"".join(image.digest for image in cohort.usable)).hexdigest()
